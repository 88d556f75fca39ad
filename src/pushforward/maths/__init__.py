"""The mathematics that several families share: heads, unrolling, bijections, chains. Nothing here knows a model."""
