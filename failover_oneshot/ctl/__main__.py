"""`python -m failover_oneshot.ctl` is `failoverctl`."""

import sys

from failover_oneshot.ctl.main import main

if __name__ == "__main__":
    sys.exit(main())
