"""One configuration, one run; -m, a sweep. `python run.py --help` lists what can be chosen."""

import sys

from harness.commands.run import main

if __name__ == "__main__":
    sys.exit(main())
