"""`python -m failover_oneshot` is `failover-check`."""

import sys

from failover_oneshot.cli import main

if __name__ == "__main__":
    sys.exit(main())
