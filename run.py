"""One configuration, one run; -m, a sweep. `python run.py --help` lists what can be chosen."""

import sys

import harness  # noqa: F401  found beside this file, while that is still the first place to look

if __name__ == "__main__":
    if not sys.flags.safe_path:
        sys.path.append(sys.path.pop(0))  # what else lies beside this file is no library
    from harness.commands.run import main
    from harness.text import make_streams_tolerant, unwritten_output

    make_streams_tolerant()
    status = main()
    if problem := unwritten_output():  # the runs are stored: it does not change their status
        sys.stderr.write(f"{problem}\n")
    sys.exit(status)
