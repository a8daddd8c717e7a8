"""One configuration, one run; -m, a sweep. `python run.py --help` lists what can be chosen."""

import sys

from harness.commands.run import main
from harness.text import make_streams_tolerant, unwritten_output

if __name__ == "__main__":
    make_streams_tolerant()
    status = main()
    if problem := unwritten_output():  # the runs are stored: it does not change their status
        sys.stderr.write(f"{problem}\n")
    sys.exit(status)
