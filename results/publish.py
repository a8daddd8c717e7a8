"""What `make results` does: measures what is published, keeps the records, draws pictures, fills the pages.

    python results/publish.py          all of it, three hours on two cores; after Ctrl-C it goes on
    python results/publish.py pages    pictures and pages alone, from the records in results/published
    python results/publish.py check    exit status 1 where a page does not say what its commands say
    python results/publish.py gpu FILE    takes in what `make gpu` packed; results/README.md gets a section

A page has every table below the command that gives it, between two marks of cog's, which call `show`; for the
tournament they call `ranking`, since no command gives a tournament again from its records.
"""

import argparse
import json
import shlex
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from harness.errors import StoreError
from harness.measure import machine
from harness.store import frames
from harness.store.record import RunRecord
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
GPU = f"{PUBLISHED}/gpu"
GPU_RECORD = "runs/*/*/record.json"
GPU_FILES = ("manifest.json", "here.json", "cuda_tests.json", "speed.json", "parity_*.jsonl", GPU_RECORD)
GPU_LIMITS = 10_000, 2**30  # files, and bytes of all of them
GPU_COMMANDS = (
    f"python -m tests.gpu.summary {GPU}",
    f"python -m harness table --results {GPU} --by backend,engine,implementation,cell,hidden,batch_size,"
    "sequence,precision,kernel --metric test_accuracy,train_throughput,energy_joules,"
    "joules_per_1000_sequences,peak_fraction,parity_gradient",
)
GPU_BLOCKS = (f'<!-- [[[cog show("{command}") ]]] -->\n<!-- [[[end]]] -->\n' for command in GPU_COMMANDS)
GPU_SECTION = "\n".join(
    (
        "## GPUs\n",
        "What `make gpu` proved and measured: tests, parity, speed in turns, and every run.",
        "[How to read it](../docs/gpus.md).\n",
        *GPU_BLOCKS,
        "",
    )
)
BEFORE = "## What does not follow\n"  # the section of results/README.md before which that of GPUs stands
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
    for old in (ROOT / PUBLISHED).glob("*"):
        if old != ROOT / GPU:  # measured elsewhere
            shutil.rmtree(old)
    for path in made:
        kept = ROOT / PUBLISHED / path.relative_to(ROOT / MEASURED)
        kept.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, kept)
    shutil.rmtree(ROOT / MEASURED)


def take_in(file: Path) -> None:
    """Replaces what is published of GPUs by what `make gpu` packed. Ends all where the file is none of these,
    or holds what is not to be published."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        unpack(file, folder)
        check_gpu(folder)
        said = "".join(run(command.replace(GPU, shlex.quote(place))) for command in GPU_COMMANDS)
        if "[[[" in said or "]]]" in said:  # it would be run the next time that pages are filled
            sys.exit(f"{file}: holds a mark of cog's")
        shutil.rmtree(ROOT / GPU, ignore_errors=True)
        for pattern in GPU_FILES:
            for path in folder.glob(pattern):
                kept = ROOT / GPU / path.relative_to(folder)
                kept.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, kept)
    page = ROOT / "results" / "README.md"
    text = page.read_text("utf-8")
    if "## GPUs\n" not in text:
        page.write_text(text.replace(BEFORE, GPU_SECTION + BEFORE), encoding="utf-8")


def unpack(file: Path, folder: Path) -> None:
    """Unpacks plain files and folders that stay below `folder`; ends all at anything else."""
    count, size = GPU_LIMITS
    try:
        with tarfile.open(file, "r:gz") as archive:
            for member in archive:
                count, size = count - 1, size - member.size
                if not (member.isfile() or member.isdir()):
                    sys.exit(f"{file}: {member.name} is neither a file nor a folder")
                if min(count, size) < 0:
                    sys.exit(f"{file}: more than {GPU_LIMITS[0]:,} files or {GPU_LIMITS[1]:,} bytes")
                archive.extract(member, folder, filter="data")
    except (OSError, EOFError, tarfile.TarError) as error:
        sys.exit(f"{file}: cannot be unpacked: {error}")


def check_gpu(folder: Path) -> None:
    """Ends all unless every record can be read and is of one GPU, and all is of one committed revision."""
    try:
        manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
        revision = str(manifest["revision"])
        records = [RunRecord.read(path) for path in folder.glob(GPU_RECORD)]
    except (OSError, ValueError, TypeError, KeyError, StoreError) as error:
        sys.exit(f"not what `make gpu` packs: {error}")
    if manifest.get("quick"):
        sys.exit("tiny models (--quick): their figures mean nothing")
    if revision == "None" or revision.endswith("+"):
        sys.exit(f"revision {revision}: must be a commit, without changes")
    for record in records:
        made_by = record.environment.get("git_revision")
        if made_by != revision:
            sys.exit(f"{record.key}: made by revision {made_by}, and the others by {revision}")
        if not record.device.startswith("cuda"):
            sys.exit(f"{record.key}: device={record.device}, must be a GPU")
    cards = {record.device_name for record in records if record.ok}
    if len(cards) != 1 or None in cards:
        sys.exit(f"records of one GPU are published together, and these are of {cards or 'none'}")


def cog(*options: str) -> int:
    """Exit status of cog over the pages."""
    return subprocess.run([sys.executable, "-m", "cogapp", *options, *FILL], cwd=ROOT, check=False).returncode


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", nargs="?", default="all", choices=("all", "pages", "check", "gpu"))
    parser.add_argument("file", nargs="?", type=Path, help="of gpu: what `make gpu` packed")
    args = parser.parse_args()
    what = args.what
    if (what == "gpu") != (args.file is not None):
        parser.error("gpu takes the file that `make gpu` packed, and nothing else takes one")
    if what == "check":
        sys.exit(cog("--check", "--diff"))
    if what == "gpu":
        take_in(args.file)
        print("Read again what README.md, docs/ and results/README.md say of GPUs.", file=sys.stderr)
        sys.exit(cog("-r"))
    if what == "all":
        publish()
    for command in PICTURES:
        run(command)
    sys.exit(cog("-r"))


if __name__ == "__main__":
    main()
