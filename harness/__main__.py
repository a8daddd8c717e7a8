"""`python -m harness …`."""

import sys

if __name__ == "__main__":
    if not sys.flags.safe_path:
        del sys.path[0]  # the working directory: what lies there is no library
    from harness.commands.cli import main
    from harness.measure.machine import PROJECT
    from harness.text import make_streams_tolerant, unwritten_output

    sys.path.append(str(PROJECT))
    make_streams_tolerant()
    try:
        main()
    except SystemExit as end:
        sys.exit(end.code or unwritten_output())
