"""The command and its stages as they are, on a CPU and with tiny models: whether everything works."""

import json
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from harness.store import frames
from tests.conftest import ROOT, environment
from tests.gpu import parity, speed
from tests.gpu.stages import OK, STAGES

pytestmark = [pytest.mark.long, pytest.mark.alone]


def test_all_stages_work(tmp_path: Path) -> None:
    """All but the tests that need a GPU, which are skipped, and the graphs, which a CPU has not."""
    env = environment(HARNESS_LEASES=str(tmp_path / "leases"), PYTHONPATH=str(ROOT))
    options = ("--device=cpu", "--quick", "--seconds=540", f"--output={tmp_path}")
    done = subprocess.run(
        [sys.executable, "-m", "tests.gpu", *options],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        timeout=560,
    )
    (packed,) = tmp_path.glob("gpu-*.tgz")
    folder = tmp_path / "unpacked"
    with tarfile.open(packed) as archive:
        archive.extractall(folder, filter="data")
    logs = "\n".join(path.read_text("utf-8")[-2000:] for path in sorted(folder.glob("logs/*")))
    assert done.returncode == 0, done.stdout + done.stderr + logs

    stages = json.loads((folder / "manifest.json").read_text())["stages"]
    assert [(stage["name"], stage["how"]) for stage in stages] == [(stage.name, OK) for stage in STAGES]
    found = json.loads((folder / "cuda_tests.json").read_text())
    assert not found["failed"]
    assert len(found["passed"] + found["skipped"]) > 5

    lines = parity.lines(folder)
    assert set(lines) == {"torch", "keras_jax", "keras_torch"}
    assert not [line for each in lines.values() for line in each if "failed" in line]
    (fused,) = [
        line
        for line in lines["torch"]
        if (line.get("implementation"), line.get("precision")) == ("fused", "float32")
    ]
    assert fused["kernel"] == "oneDNN"

    comparisons = json.loads((folder / speed.FILE).read_text())["comparisons"]
    assert len(comparisons) == len(speed.QUICK)
    for record in comparisons:
        errors = {text: side["error"] for text, side in record["sides"].items() if "error" in side}
        assert errors == {speed.GRAPH: "device=cpu: only CUDA has graphs"}
        assert record["first_over"][speed.EAGER]["median"] > 0

    runs = frames.load(folder)
    assert set(runs["status"]) == {"ok"}
    rows = runs[runs["sequence"] == "row"]
    assert sorted(rows["cell"]) == ["gru", "lstm", "rnn"]
    pixels = runs[runs["sequence"] == "permuted"]
    assert sorted(zip(pixels["cell"], pixels["mode"], strict=True)) == [
        *(("gru", "throughput"), ("gru", "train")),
        *(("lstm", "throughput"), ("lstm", "train")),
    ]
    assert pixels[pixels["mode"] == "train"]["test_accuracy"].notna().all()

    for said in ("tiny models: these figures mean nothing", "| torch fused, float32 |", "a bare CUDA graph"):
        assert said in done.stdout
    assert done.stdout.endswith(f"{packed}\n")
