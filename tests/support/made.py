"""Records as a sweep leaves them, made without running anything."""

from collections.abc import Sequence
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from harness.measure.clock import now
from harness.measure.statistics import estimate, undisturbed
from harness.store.attempts import new_attempt, write_record
from harness.store.record import RunRecord
from tests.support.records import record

WINDOWS, WINDOW_SECONDS = 12, 0.5
HERE = {"machine": {}, "versions": {"torch": "2.13"}, "git_revision": "a" * 40}


@cache
def _plain(overrides: tuple[str, ...]) -> RunRecord:
    return record("ok", None, *overrides)


def timed(
    rate: float, *overrides: str, seed: int = 0, noise: float = 0.01, start: int = 0, **fields: Any
) -> RunRecord:
    """A good run of about `rate` sequences/s; `noise` is the relative deviation of its windows."""
    made = _plain(overrides)
    rng = np.random.default_rng([seed, start, round(rate)])
    rates = rate * np.exp(noise * rng.standard_normal(WINDOWS))
    values = {
        "key": sha256(f"{overrides}{seed}".encode()).hexdigest()[:20],
        "seed": seed,
        "config": {**made.config, "seed": seed},
        "started": f"2026-01-01T00:00:{start:02}+00:00",
        "device": "cpu",
        "device_name": "Some CPU",
        "contended": False,
        "environment": HERE,
        **of_windows(rates.tolist()),
    }
    return RunRecord(**{**vars(made), **values, **fields})


def of_windows(rates: Sequence[float]) -> dict[str, Any]:
    """What a record has of windows at such rates, one after the other."""
    windows = [{"steps": 1, "sequences": each * WINDOW_SECONDS, "seconds": WINDOW_SECONDS} for each in rates]
    return {"timing": {"windows": windows}} | estimate(rates).columns("train_throughput") | undisturbed(rates)


def several(
    rate: float, *overrides: str, seeds: int = 5, spread: float = 0.01, **fields: Any
) -> list[RunRecord]:
    """Runs of that many seeds; `spread` is the relative deviation from run to run."""
    rng = np.random.default_rng(round(rate))
    rates = rate * np.exp(spread * rng.standard_normal(seeds))
    return [timed(each, *overrides, seed=k, start=k, **fields) for k, each in enumerate(rates)]


def stored(results: Path, *records: RunRecord) -> Path:
    for one in records:
        write_record(one, new_attempt(results, one.key, now()))
    return results
