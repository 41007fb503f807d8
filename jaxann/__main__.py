"""`python -m jaxann`: the command."""

import sys

from jaxann.cli import main

if __name__ == "__main__":
    sys.exit(main())
