"""`python -m pushforward`, and `torchrun -m pushforward` for many processes."""

from .cli import main

main()
