"""Stored runs that a report has everything to show of, and a browser to look at it with."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from harness.measure.clock import now
from harness.store.attempts import new_attempt, write_record
from harness.store.record import RunRecord
from tests.conftest import ROOT, environment
from tests.support.records import measured, record

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
RATES = {"keras": 7_000.0, "numpy": 8_000.0, "torch": 9_000.0}
CELLS = {"rnn": (3.0, 0.96), "lstm": (1.0, 0.985), "gru": (1.1, 0.987)}
STEPS = 28
ENVIRONMENT = {
    "machine": {"system": "Linux", "cpu": "Some CPU", "cores": 2},
    "versions": {"python": "3.11.7", "torch": "2.13.0"},
    "git_revision": "abc123",
    "load_average_before": 0.5,
}


def trained(backend: str, cell: str, seed: int, *overrides: str, **fields: Any) -> RunRecord:
    """A run as `mode=train` leaves it, its figures made up but for their order."""
    made = record("ok", None, f"backend={backend}", f"cell={cell}", f"seed={seed}", *overrides)
    factor, accuracy = CELLS[cell]
    rate, accuracy = RATES[backend] * factor * (1 + 0.01 * seed), accuracy + 0.0005 * seed
    confusion = np.diag([100] * 10)
    confusion[3, 5] += 4 + seed
    confusion[9, 4] += 2
    flow = {"layers.0.forward": [1e-6 * 1.5**t for t in range(STEPS)]}
    values = {
        "started": f"2026-01-01T00:00:{seed:02}+00:00",  # as a sweep in blocks does
        "implementation": "loop" if backend == "numpy" else "fused",
        "device_name": "Some CPU",
        "kernel": "a kernel",
        "contended": False,
        "test_accuracy": accuracy,
        "train_throughput": rate,
        "train_throughput_low": 0.98 * rate,
        "train_throughput_high": 1.02 * rate,
        "inference_throughput": 4 * rate,
        "inference_throughput_low": 3.9 * rate,
        "inference_throughput_high": 4.1 * rate,
        "latency_p50_seconds": 1e-3,
        "train_seconds": 30.0,
        "own_shape_flops_per_second": 6e10,
        "peak_flops_per_second": 9e11,
        "parity_gradient": 3e-7,
        "environment": ENVIRONMENT,
        "command": f"python run.py backend={backend} cell={cell} seed={seed}",
        "history": [
            {"epoch": k, "seconds": 10.0, "validation_accuracy": accuracy - 0.1 / k} for k in (1, 2, 3)
        ],
        "details": {
            "confusion": confusion.tolist(),
            "gradient_flow_before": flow,
            "gradient_flow_after": flow,
        },
    }
    return replace(made, **{**values, **fields})


def streamed(backend: str, cell: str) -> RunRecord:
    made = record("ok", None, f"backend={backend}", f"cell={cell}", "mode=stream", "weights=x.safetensors")
    after = [0.1 + 0.88 * t / (STEPS - 1) for t in range(STEPS)]
    details = {"accuracy_after_step": after}
    return replace(made, device_name="Some CPU", test_accuracy=after[-1], details=details)


def everything() -> list[RunRecord]:
    """At least one run for every chart, one contended, and two that did not end ok."""
    sizes = [(f"train.batch_size={size}",) for size in (1, 16, 256)]
    return [
        *(trained(backend, cell, seed) for backend in RATES for cell in CELLS for seed in (0, 1)),
        trained("torch", "lstm", 2, contended=True),
        *(streamed(backend, "gru") for backend in ("numpy", "torch")),
        *(measured("numpy", 4e-4, 0.0, 6e10, *size) for size in sizes),
        record("crashed", "ended by SIGSEGV, no output", "backend=torch", "cell=indrnn"),
        record("skipped", "keras has no fused ctrnn", "backend=keras", "cell=ctrnn"),
    ]


def store(results: Path, *records: RunRecord) -> Path:
    """Stores records as runs do, each under a key that a directory may have."""
    for n, one in enumerate(records):
        key = f"{n:020x}"
        write_record(replace(one, key=key), new_attempt(results, key, now()))
    return results


@contextmanager
def chromium() -> Iterator[Browser]:
    """A headless Chromium. Without one the test is skipped, or fails where HARNESS_NEEDS_BROWSER is set."""
    path = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if path is None:
        missing = f"a browser is missing: install one of {', '.join(CHROMIUM)}"
        if os.environ.get("HARNESS_NEEDS_BROWSER"):
            pytest.fail(missing)
        pytest.skip(missing)
    arguments = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=arguments)
        yield browser
        browser.close()


@contextmanager
def opened(browser: Browser, path: Path, **options: Any) -> Iterator[Page]:
    """The page once its charts are drawn, without a network; at the end, that it asked for nothing but
    itself and that the console stayed empty."""
    context = browser.new_context(offline=True, **options)
    said: list[str] = []
    asked: list[str] = []
    page = context.new_page()
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(path.as_uri())
    page.wait_for_selector("html[data-drawn]", timeout=60_000)
    yield page
    assert said == []
    assert {url for url in asked if not url.startswith("data:")} == {path.as_uri()}
    context.close()


def written(place: Path, *records: RunRecord, options: tuple[str, ...] = ()) -> Path:
    results = store(place / "results", *records)
    path = place / "report.html"
    command = [sys.executable, "-m", "harness", "report", str(path), "--results", str(results), *options]
    done = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert f"Written: {path}" in done.stdout
    return path
