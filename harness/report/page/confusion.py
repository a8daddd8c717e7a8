"""Confusion matrix: the confusion matrix of the most accurate series, and what is missed most often."""

from collections.abc import Sequence

import numpy as np

from harness.report.page.estimates import accuracy_estimate
from harness.report.page.figures import Cells, Figure, Panel
from harness.report.page.series import MOST, ComparableSet, Series

MOST_CLASSES = 20  # with more, the matrix cannot be read
NAMED = 3


def confusion_figure(sets: Sequence[ComparableSet]) -> Figure:
    """A panel for the most accurate series of every set, summed over its runs."""
    panels: list[Panel] = []
    notes: list[str] = []
    for one in sets[:MOST]:
        best = _best(one)
        if best is None:
            continue
        counts = _counts(best)
        name = one.of(best.label)
        notes += [f"{name}. {text}" for text in _missed(counts)]
        if len(counts) > MOST_CLASSES:
            notes.append(f"{name}: a matrix of {len(counts)} classes is not drawn.")
            continue
        classes = tuple(str(k) for k in range(len(counts)))
        texts = tuple(tuple(f"{n:,}" if n else "" for n in row) for row in counts.tolist())
        wrong = tuple(
            tuple(float(n) if n and j != k else None for k, n in enumerate(row))
            for j, row in enumerate(counts.tolist())
        )
        panels.append(Panel(name, Cells("predicted", "true", "sequences", classes, classes, wrong, texts)))
    return Figure(
        "confusion",
        "Confusion matrix",
        "Test sequences of the most accurate series, summed over its runs: a row for every true class, a "
        "column for what it was taken for. Only mistakes are shaded.",
        "python run.py",
        tuple(panels),
        tuple(notes),
    )


def _best(one: ComparableSet) -> Series | None:
    known = [series for series in one.series if any(run.details.get("confusion") for run in series.runs)]
    scores = [(score.value, each) for each in known if (score := accuracy_estimate("", [each]))]
    return max(scores, key=lambda score: score[0])[1] if scores else None


def _counts(series: Series) -> np.ndarray:
    """(C, C) over all runs that have as many classes as the first."""
    matrices = [np.array(run.details["confusion"]) for run in series.runs if run.details.get("confusion")]
    return np.sum([each for each in matrices if each.shape == matrices[0].shape], axis=0)


def _missed(counts: np.ndarray) -> list[str]:
    """The classes that are missed most often, and what they are taken for."""
    wrong = counts - np.diag(np.diag(counts))
    totals = counts.sum(axis=1)
    if not wrong.any():
        return ["None is missed."]
    shares = wrong.sum(axis=1) / np.maximum(totals, 1)
    parts = []
    for k in np.argsort(-shares, kind="stable")[:NAMED]:
        if shares[k]:
            missed = f"{k} in {wrong[k].sum():,} of {totals[k]:,} ({100 * shares[k]:.1f} %)"
            parts.append(f"{missed}, mostly taken for {int(wrong[k].argmax())}")
    return [f"Missed most often: {'; '.join(parts)}."]
