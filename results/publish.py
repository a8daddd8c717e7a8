"""What `make results` does: measures what is published, keeps the records, draws pictures, fills the pages.

    python results/publish.py          all of it, three hours on two cores; after Ctrl-C it goes on
    python results/publish.py pages    pictures and pages alone, from the records in results/published
    python results/publish.py check    exit status 1 where a page does not say what its commands say

A page has every table below the command that gives it, between two marks of cog's, which call `show`; for the
tournament they call `ranking`, since no command gives a tournament again from its records.
"""

import argparse
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from harness.measure import machine
from harness.store import frames
from harness.sweep.plan import make_plan

ROOT = Path(__file__).resolve().parent.parent
MEASURED, PUBLISHED = "results/measured", "results/published"
EXPERIMENTS = ("frameworks", "implementations", "cells", "scaling", "literature", "pixels")
ANSWER = "python -m harness tournament +experiment=answer cell=lstm"
RANKING, DRAWN = "answer/ranking.md", "answer/ranking.svg"  # below MEASURED and PUBLISHED
ATTEMPTS = 3  # at a run whose cores others used
PICTURES = (
    f"python -m harness report results/report.html --results {PUBLISHED}/frameworks --plots results/plots",
    f"python -m harness scaling --results {PUBLISHED}/scaling --plot results/plots/scaling.svg",
)
PAGES = ("README.md", "results/README.md", "docs/comparing.md", "docs/tables.md")
FILL = ("-P", "-I", "results", "-p", "from publish import ranking, show", *PAGES)


def run(command: str) -> str:
    """What a command says that is given to a shell in the checkout's root; ends all where it fails."""
    program, *arguments = shlex.split(command)
    assert program == "python", command
    with subprocess.Popen(
        [sys.executable, *arguments], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            said, _ = process.communicate()
        except KeyboardInterrupt:  # the command got it, too, and takes its time to end well
            process.wait()
            sys.exit(130)
    if process.returncode:
        sys.exit(f"{command}: exit status {process.returncode}")
    return said


def show(command: str) -> None:
    """A command and, below it, what it says."""
    print(f"\n```\n{command}\n```\n\n{run(command).strip()}\n")


def ranking() -> None:
    """The tournament's command and, below it, what it said."""
    print(f"\n```\n{ANSWER}\n```\n\n{(ROOT / PUBLISHED / RANKING).read_text('utf-8').strip()}\n")


def compete() -> list[Path]:
    """Makes the tournament if it is not there yet; its records, and its ranking as text and as a picture."""
    root, text, picture = (ROOT / MEASURED / name for name in ("answer", RANKING, DRAWN))
    if not text.exists():
        shutil.rmtree(root, ignore_errors=True)  # what is left of one that was interrupted
        root.mkdir(parents=True)
        said = run(f"{ANSWER} --results {MEASURED}/answer --plot {MEASURED}/{DRAWN}")
        if frames.load(root)["contended"].eq(True).any():
            sys.exit(f"{root}: others use these cores; `make results` again when they do not")
        text.write_text(said.replace(f"Drawn: {MEASURED}/{DRAWN}\n", ""), "utf-8")
    return [*root.glob("runs/*/*/record.json"), text, picture]


def measure(name: str) -> list[Path]:
    """Makes the runs of an experiment that are not there yet, and again those that others disturbed; their
    records. Ends all where one is missing, did not end ok, or is not of this experiment."""
    root = ROOT / MEASURED / name
    for _ in range(ATTEMPTS):
        run(f"python run.py -m +experiment={name} results.root={MEASURED}/{name}")
        frame = frames.load(root)
        disturbed = frame[frame["contended"].eq(True)]
        for record in disturbed["record_path"]:
            shutil.rmtree(ROOT / Path(record).parent)
        if disturbed.empty:
            break
    else:
        sys.exit(f"{root}: others use these cores; `make results` again when they do not")
    plan = make_plan([f"+experiment={name}"])
    if plan is None or len(frame) != plan.total:
        sys.exit(f"{root}: has {len(frame)} runs that are not all of +experiment={name}; remove it")
    return [ROOT / Path(record) for record in frame["record_path"]]


def publish() -> None:
    """Replaces what is published by what is measured: of a run its record and nothing else."""
    if (machine.git_revision() or "+").endswith("+"):
        sys.exit("records carry the revision that made them: commit first")
    made = [path for name in EXPERIMENTS for path in measure(name)] + compete()
    if (ROOT / PUBLISHED).exists():
        shutil.rmtree(ROOT / PUBLISHED)
    for path in made:
        kept = ROOT / PUBLISHED / path.relative_to(ROOT / MEASURED)
        kept.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, kept)
    shutil.rmtree(ROOT / MEASURED)


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
        publish()
    for command in PICTURES:
        run(command)
    sys.exit(cog("-r"))


if __name__ == "__main__":
    main()
