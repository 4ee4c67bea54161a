"""`python -m crowdpyro` is the command `crowdpyro`."""

from .cli import main

main()
