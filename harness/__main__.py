"""`python -m harness …`."""

import sys

from harness.commands.cli import main
from harness.text import make_streams_tolerant, unwritten_output

if __name__ == "__main__":
    make_streams_tolerant()
    try:
        main()
    except SystemExit as end:
        sys.exit(end.code or unwritten_output())
