"""Lets `python -m deploy.replay` play the sets."""

import sys

from deploy.replay.run import main

if __name__ == "__main__":
    sys.exit(main())
