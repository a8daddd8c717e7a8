"""Kills a sweep again and again, and compares what it comes to with an undisturbed one.

    python -m tests.bench.kills [KILLS] [--seed N] [--launcher basic|joblib]

A sweep of 16 small runs (NumPy and PyTorch, LSTM and GRU, one process and two, two schedules, dropout, a
checkpoint after every epoch, weights saved; two cores) is made once from beginning to end, which takes L
seconds. Then, in another place, the same command is given again and again, and each time its whole process
tree is ended by SIGKILL at a moment drawn uniformly from the first L / 8 seconds: as long as two runs take. A
command that comes to its end before has finished the sweep: that one is compared, and another begins from
nothing. After the last kill the command is given once more, and has to exit with 0.

Of both must be the same: keys, one record each, and in it every column, the configuration, the history and
the details, but for times, memory and load; weights byte for byte. After every kill no process may be left,
and every lock can be had; at the end no file is left that is not documented.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from filelock import FileLock

from harness.store.record import COLUMNS, RunRecord
from tests.bench.child import ROOT

EACH = (
    "data=digits",
    "data.limit=600",
    "cell.hidden=8",
    "model.layers=2",
    "model.dropout=0.3",
    "train.epochs=30",
    "train.batch_size=64",
    "train.checkpoint_epochs=1",
    "measure.window_seconds=0.01",
    "measure.warmup_steps=2",
    "save_weights=true",
)
SWEPT = ("backend=numpy,torch", "cell=lstm,gru", "threads=1,2", "train.schedule=cosine,step")
RUNS = 16
AT_ONCE = 2  # runs that the moments are drawn over
MARK = "HARNESS_KILLS"  # in the environment of all processes

# columns, and parts of the details, the environment and the history, that no two runs have in common
TIMED = re.compile(
    r"seconds$|throughput|per_second|_fraction$|memory|joules|_to_target$|^started$|^contended$|_path$"
    r"|^unsteady$|^matmul$|^spin_count$"
)
LOADED = {
    *("memory", "load_average", "others_share_of_cores", "involuntary_switches_per_second"),
    *("energy", "resumed"),
}
ELSEWHERE = {"load_average_before", "cores"}
# what may lie in a results directory
KNOWN = re.compile(
    r"runs/\w{20}/(\.lock|[\dT.]{22}/(record\.json|output\.log|weights\.safetensors))"
    r"|sweeps/[^/]+/(multirun\.yaml|run-\d{5}\.json"
    r"|\.run-\d{5}\.json\.\w+)"  # one that was being written when its process was killed
)
# in the command, and where joblib makes runs: which phase of a run begins
NOTED = """
import os, sys
if "harness.runner" not in sys.orig_argv and {marker!r} in os.environ:
    from harness.measure import phases
    notes = os.open(os.environ["HARNESS_KILLS_NOTES"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    def note(name):
        os.write(notes, f"{{os.getpid()}} {{name}}\\n".encode())
    init, begin = phases.Phases.__init__, phases.Phases.begin
    def noted_init(self, first):
        note(first)
        init(self, first)
    def noted_begin(self, name, at=None):
        note(name)
        begin(self, name, at)
    phases.Phases.__init__, phases.Phases.begin = noted_init, noted_begin
"""


@dataclass
class Sweep:
    """The command, its results and all that belongs to it, in a directory of its own."""

    place: Path
    swept: Sequence[str]
    launcher: str
    mark: str = field(default_factory=lambda: uuid.uuid4().hex)

    def __post_init__(self) -> None:
        (self.place / "shadow").mkdir(parents=True)
        (self.place / "shadow" / "sitecustomize.py").write_text(NOTED.format(marker=MARK))

    @property
    def results(self) -> Path:
        return self.place / "results"

    def start(self) -> subprocess.Popen[bytes]:
        env = {name: value for name, value in os.environ.items() if not name.startswith(("HYDRA_", "XLA_"))}
        env |= {
            "PYTHONPATH": f"{self.place / 'shadow'}{os.pathsep}{ROOT}",
            "XDG_CACHE_HOME": str(self.place / "cache"),
            "HOME": str(self.place / "cache"),
            "HARNESS_LEASES": str(self.place / "leases"),
            "HARNESS_KILLS_NOTES": str(self.place / "notes"),
            "OMP_WAIT_POLICY": "passive",  # threads that spin for one another are no use beside other load
            MARK: self.mark,
        }
        command = [sys.executable, str(ROOT / "run.py"), "-m", f"hydra/launcher={self.launcher}"]
        (self.place / "notes").write_bytes(b"")
        with (self.place / "said").open("ab") as said:
            return subprocess.Popen(
                [*command, "results.root=results", *EACH, *self.swept],
                cwd=self.place,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                start_new_session=True,
            )

    def phases(self) -> list[str]:
        """What each process that makes runs is doing, by the name of a phase."""
        last = dict(line.split() for line in (self.place / "notes").read_text().splitlines())
        return list(last.values()) or ["start-up"]

    def processes(self) -> list[psutil.Process]:
        """All that have its mark."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error, OSError):
                if process.environ().get(MARK) == self.mark and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found

    def finish(self) -> float:
        """Gives the command and waits for its end; its seconds."""
        start = time.monotonic()
        status = self.start().wait(600)
        if status != 0:
            raise AssertionError(f"exit status {status}: {(self.place / 'said').read_text()[-2000:]}")
        return time.monotonic() - start

    def records(self) -> dict[str, RunRecord]:
        """By key; there must be one of each."""
        found: dict[str, RunRecord] = {}
        for path in self.results.glob("runs/*/*/record.json"):
            record = RunRecord.read(path)
            assert record.key not in found, f"two records of {record.key}"
            found[record.key] = record
        return found


def kill_tree(process: subprocess.Popen[bytes]) -> int:
    """Ends a process and all below it by SIGKILL, each stopped first, so that none starts another or sees one
    end; how many they were."""
    stopped: dict[int, psutil.Process] = {}
    root = psutil.Process(process.pid)
    fresh = [root]
    while fresh:
        for each in fresh:
            with suppress(psutil.NoSuchProcess):
                each.suspend()
            stopped[each.pid] = each
        fresh = [each for each in root.children(recursive=True) if each.pid not in stopped]
    for each in stopped.values():
        with suppress(psutil.NoSuchProcess):
            each.kill()
    process.wait()
    return len(stopped)


def alone(sweep: Sweep) -> None:
    """Nothing of a sweep that was killed is left: no process, no lock."""
    deadline = time.monotonic() + 5
    while sweep.processes():
        assert time.monotonic() < deadline, f"left: {[p.cmdline() for p in sweep.processes()]}"
        time.sleep(0.02)
    for path in [*sweep.place.glob("leases/*.lock"), *sweep.results.glob("runs/*/.lock")]:
        with FileLock(path, timeout=5):  # a process that dies loses its memory before its files
            pass


def tidy(sweep: Sweep) -> Counter[str]:
    """Files of a finished sweep that are there by the end, by name; all must be documented."""
    names = [
        path.relative_to(sweep.results).as_posix() for path in sweep.results.rglob("*") if path.is_file()
    ]
    unknown = [name for name in names if not KNOWN.fullmatch(name)]
    assert not unknown, f"left: {unknown}"
    for attempt in sweep.results.glob("runs/*/*/"):
        if not (attempt / "record.json").exists():
            assert [path.name for path in attempt.iterdir()] == ["output.log"], attempt
    return Counter(re.sub(r"run-\d+\.json.*", "run-….json", Path(name).name) for name in names)


def compare(found: dict[str, RunRecord], expected: dict[str, RunRecord]) -> None:
    """Both sweeps came to the same, to the last bit."""
    assert found.keys() == expected.keys()
    for key, record in found.items():
        assert record.ok, record.reason
        ours, theirs = dict(_content(record)), dict(_content(expected[key]))
        differing = {name: (ours[name], theirs[name]) for name in ours if ours[name] != theirs[name]}
        assert not differing, f"{record.record_path}: {differing}"
        weights, others = (Path(str(one.weights_path)).read_bytes() for one in (record, expected[key]))
        assert weights == others, record.weights_path


def _content(record: RunRecord) -> Iterator[tuple[str, str]]:
    """All that does not depend on when and beside what a run was made, as JSON by name."""
    values = vars(record)
    parts: dict[str, Any] = {name: values[name] for name in COLUMNS if not TIMED.search(name)}
    parts["config"] = record.config
    parts["history"] = [{k: v for k, v in epoch.items() if not TIMED.search(k)} for epoch in record.history]
    parts["environment"] = {k: v for k, v in record.environment.items() if k not in ELSEWHERE}
    steps: Counter[int] = Counter()
    for window in record.timing["windows"]:
        steps[window["epoch"]] += window["steps"]
    parts["steps"] = sorted(steps.items())
    parts["details"] = sorted(record.details.keys() - LOADED)
    for name in parts["details"]:
        parts[f"details.{name}"] = None if TIMED.search(name) else record.details[name]
    for name, value in parts.items():
        yield name, json.dumps(value, sort_keys=True)


@dataclass
class Findings:
    """What was seen on the way."""

    undisturbed_seconds: float = 0.0
    seconds: float = 0.0
    kills: int = 0
    processes: int = 0  # that were ended
    sweeps: int = 0
    runs: int = 0
    resumed_runs: int = 0
    resumptions: int = 0
    most_parts: int = 1
    phases: Counter[str] = field(default_factory=Counter)
    files: Counter[str] = field(default_factory=Counter)


def kill(place: Path, kills: int, seed: int, swept: Sequence[str], runs: int, launcher: str) -> Findings:
    """All of it; raises AssertionError at the first thing that is not as it should be."""
    found, rng = Findings(), np.random.default_rng(seed)
    undisturbed = Sweep(place / "undisturbed", swept, launcher)
    found.undisturbed_seconds = undisturbed.finish()
    expected = undisturbed.records()
    assert len(expected) == runs
    tidy(undisturbed)
    span = found.undisturbed_seconds * min(1.0, AT_ONCE / runs)
    start = time.monotonic()
    while found.kills < kills:
        found.sweeps += 1
        sweep = Sweep(place / f"sweep-{found.sweeps}", swept, launcher)
        over = False
        while not over and found.kills < kills:
            process = sweep.start()
            try:
                status = process.wait(rng.uniform(0, span))
            except subprocess.TimeoutExpired:
                doing = sweep.phases()
                found.processes += kill_tree(process)
                found.kills += 1
                found.phases.update(doing)
                alone(sweep)
            else:
                over = True
                assert status == 0, (sweep.place / "said").read_text()[-2000:]
        sweep.finish()
        alone(sweep)
        records = sweep.records()
        compare(records, expected)
        found.files += tidy(sweep)
        found.runs += len(records)
        parts = [len(record.details.get("resumed", [])) for record in records.values()]
        found.resumed_runs += sum(map(bool, parts))
        found.resumptions += sum(parts)
        found.most_parts = max(found.most_parts, 1 + max(parts))
    found.seconds = time.monotonic() - start
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Kills a sweep again and again, and compares the result with an undisturbed one."
    )
    parser.add_argument("kills", type=int, nargs="?", default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--launcher", choices=("basic", "joblib"), default="basic")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        found = kill(Path(place), asked.kills, asked.seed, SWEPT, RUNS, asked.launcher)
    for name, value in vars(found).items():
        text = (
            ", ".join(f"{key} {n}" for key, n in value.most_common()) if isinstance(value, Counter) else value
        )
        print(f"{name}: {text:.1f}" if isinstance(value, float) else f"{name}: {text}")
    print("the same records and weights, no process, no lease and no unknown file left")


if __name__ == "__main__":
    main()
