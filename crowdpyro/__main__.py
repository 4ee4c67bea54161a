"""`python -m crowdpyro` is the command `crowdpyro`."""

from .cli import main

if __name__ == "__main__":
    main()
