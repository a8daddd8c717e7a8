"""What `make results` does: measures what is published, keeps the records, draws pictures, fills the pages.

    python results/publish.py          all of it, two hours on two cores; what is in results/measured stays
    python results/publish.py pages    pictures and pages alone, from the records in results/published
    python results/publish.py check    exit status 1 where a page does not say what its commands say

A page has every table below the command that gives it, between two marks of cog's, which call `show`.
"""

import argparse
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MEASURED, PUBLISHED = "results/measured", "results/published"
EXPERIMENTS = ("frameworks", "implementations", "cells", "scaling", "literature", "pixels")
PICTURES = (
    f"python -m harness report results/report.html --results {PUBLISHED}/frameworks --plots results/plots",
    f"python -m harness scaling --results {PUBLISHED}/scaling --plot results/plots/scaling.svg",
)
PAGES = ("README.md", "results/README.md", "docs/comparing.md", "docs/tables.md")
FILL = ("-P", "-I", "results", "-p", "from publish import show", *PAGES)


def run(command: str, *, may_end: int = 0) -> str:
    """What a command says that is given to a shell in the checkout's root; ends all where it fails."""
    program, *arguments = shlex.split(command)
    assert program == "python", command
    done = subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False
    )
    if not 0 <= done.returncode <= may_end:
        sys.exit(f"{command}: exit status {done.returncode}")
    return done.stdout


def show(command: str) -> None:
    """A command and, below it, what it says."""
    print(f"\n```\n{command}\n```\n\n{run(command).strip()}\n")


def measure() -> None:
    """Makes the runs that are not there yet, then publishes their records and nothing else of them."""
    for name in EXPERIMENTS:
        run(f"python run.py -m +experiment={name} results.root={MEASURED}/{name}", may_end=1)
    shutil.rmtree(ROOT / PUBLISHED, ignore_errors=True)
    for record in (ROOT / MEASURED).glob("*/runs/*/*/record.json"):
        kept = ROOT / PUBLISHED / record.relative_to(ROOT / MEASURED)
        kept.parent.mkdir(parents=True)
        shutil.copyfile(record, kept)


def cog(*options: str) -> int:
    """Exit status of cog over the pages."""
    return subprocess.run([sys.executable, "-m", "cogapp", *options, *FILL], cwd=ROOT, check=False).returncode


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", nargs="?", default="all", choices=("all", "pages", "check"))
    what = parser.parse_args().what
    if what == "check":
        sys.exit(cog("--check", "--diff"))
    if what == "all":
        measure()
    for command in PICTURES:
        run(command)
    sys.exit(cog("-r"))


if __name__ == "__main__":
    main()
