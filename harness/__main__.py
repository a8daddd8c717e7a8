"""`python -m harness …`."""

import sys

if __name__ == "__main__":
    if not sys.flags.safe_path:
        del sys.path[0]  # the working directory: what lies there is no library
    from harness.commands.cli import main
    from harness.measure.machine import PROJECT

    sys.path.append(str(PROJECT))
    main()
