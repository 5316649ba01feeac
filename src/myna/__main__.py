"""`python -m myna` is `myna`."""

import sys

from myna.cli import main

if __name__ == "__main__":
    sys.exit(main())
