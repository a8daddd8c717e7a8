"""Proves and measures all that there is on this machine's GPU: `make gpu`.

    python -m tests.gpu                       all stages, in nine minutes at most
    python -m tests.gpu parity speed          these alone
    python -m tests.gpu --seconds 270         half the time for each
    python -m tests.gpu --device cpu --quick  does everything work? Its figures mean nothing

Each stage has its own limit; whatever becomes of it, the next one follows. Ends with a table, and with
records, raw windows and logs in one file, which `python results/publish.py gpu FILE` takes in.
"""

import argparse
import json
import signal
import sys
import tarfile
from collections.abc import Sequence
from pathlib import Path

from harness.errors import Unavailable
from harness.measure import machine
from harness.measure.clock import now
from harness.measure.devices import candidate_gpus
from tests.gpu import summary
from tests.gpu.prepared import ROOT
from tests.gpu.stages import LIMIT_SECONDS, OK, STAGES, Ended, run

RESULTS = ROOT / "results" / "gpu"


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def manifest(ended: Sequence[Ended], started: str, args: argparse.Namespace) -> dict[str, object]:
    """What the results are those of."""
    return {
        "started": started,
        "device": args.device,
        "quick": args.quick,
        "seconds": args.seconds,
        "revision": machine.git_revision(),
        "stages": [each._asdict() for each in ended],
    }


def pack(folder: Path, place: Path) -> Path:
    """Everything in the folder as one file in `place`, under the folder's name."""
    place.mkdir(parents=True, exist_ok=True)
    path = place / f"gpu-{folder.name}.tgz"
    with tarfile.open(path, "w:gz") as archive:
        archive.add(folder, arcname=".")
    return path


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.gpu",
        description=__doc__,
        epilog="stages:\n" + "\n".join(f"  {stage.name:12}{stage.what}" for stage in STAGES),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("stages", nargs="*", metavar="STAGE", help="default: all, in this order")
    parser.add_argument("--seconds", type=float, default=LIMIT_SECONDS, help="scales all limits")
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--quick", action="store_true", help="tiny models, which show only that it works")
    parser.add_argument("--output", type=Path, default=RESULTS, help="where the packed file goes")
    args = parser.parse_args()
    unknown = set(args.stages) - {stage.name for stage in STAGES}
    if unknown:
        parser.error(f"no stage {min(unknown)!r}; there are {', '.join(stage.name for stage in STAGES)}")
    if not args.seconds > 0:
        parser.error(f"--seconds={args.seconds:g}: must be more than 0")
    return args


def main() -> int:
    """0: all stages were ok; 1: some were not; 2: there is no GPU; 130: stopped, with what there was until
    then in the file."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    args = arguments()
    try:
        candidate_gpus(args.device, ("cpu", "cuda"))
    except Unavailable as error:
        say(f"make gpu needs an NVIDIA GPU: {error}")
        return 2
    started = now()
    folder = RESULTS / started.strftime("%Y%m%dT%H%M%S")
    chosen = [stage for stage in STAGES if not args.stages or stage.name in args.stages]
    options = ["--device", args.device, *(["--quick"] if args.quick else [])]
    ended = run(chosen, folder, seconds=args.seconds, arguments=options, say=say)
    text = json.dumps(manifest(ended, started.isoformat(), args), indent=1)
    (folder / summary.MANIFEST).write_text(text + "\n", encoding="utf-8")
    found = summary.page(folder)
    (folder / "summary.md").write_text(found, encoding="utf-8")
    path = pack(folder, args.output)
    print(found)
    print(path)
    if any(each.how == "interrupted" for each in ended):
        return 130
    return 0 if all(each.how == OK for each in ended) else 1
