"""The systems, a folder a family. Families never import each other; a composite takes the other model as an argument."""
