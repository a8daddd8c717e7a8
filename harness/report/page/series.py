"""Runs that may be compared: the same task on the same machine, and who took part.

A set holds runs of one mode, dataset, view of it, batch size, number of epochs, precision, device and number
of threads. A series of it is one cell in one implementation of one backend, with one and the same
configuration, over seeds. Its name says in what it differs from other series of its cell, whoever made them,
and in its size from those of other cells.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import pandas

from harness.config import identity
from harness.report.format import MARK, UNSTEADY, text
from harness.report.frame import split_by_settings
from harness.report.page.figures import Panel, omission_note
from harness.store.record import RunRecord

SAME = identity.columns("task", "length", "machine")
WHO = (*identity.columns("cell"), *identity.columns("contender"))
SIZE = "cell.hidden"  # means the same for every cell
MODES = {"throughput": "speed alone", "stream": "streamed"}  # what a set's name calls them
MOST = 4  # sets that a figure has panels for; `--where` shows another one


@dataclass(frozen=True)
class Series:
    """Runs that differ in their seed alone. `by` is who computed: the backend, and what tells it from other
    series of the set; `settings` what else does."""

    cell: str
    by: str
    settings: str
    runs: tuple[RunRecord, ...]

    @property
    def label(self) -> str:
        return ", ".join(part for part in (f"{self.cell} · {self.by}", self.settings) if part)

    @property
    def contended(self) -> bool:
        return any(run.contended for run in self.runs)

    @property
    def marked_label(self) -> str:
        """The label, marked where others may have spoilt the timing."""
        return f"{self.label} {MARK}" if self.contended else self.label

    @property
    def training_label(self) -> str:
        """The same beside a speed of training, marked where that is unsteady too."""
        return f"{self.marked_label} {UNSTEADY}" if any(r.unsteady for r in self.runs) else self.marked_label


@dataclass(frozen=True)
class ComparableSet:
    """Series that may be compared, by cell. `name` says what they have in common, `title` the part of it in
    which sets differ: nothing where there is one set."""

    name: str
    title: str
    series: tuple[Series, ...]

    def line_panels(self) -> list[tuple[str, list[tuple[str, Series]]]]:
        """(title, series by what decides their colour) of panels of lines: a panel for every cell, or one
        for all cells where one contender made them."""
        if len(self.contenders) == 1:
            who = self.contenders[0] if len(self.cells) > 1 else f"{self.cells[0]} · {self.contenders[0]}"
            return [(self.of(who), _distinct_keys([(series.cell, series) for series in self.series]))]
        return [
            (
                self.of(cell),
                _distinct_keys([(series.by, series) for series in self.series if series.cell == cell]),
            )
            for cell in self.cells
        ]

    def of(self, what: str) -> str:
        """The title of a part of it."""
        return f"{what}: {self.title}" if self.title else what

    @property
    def among(self) -> str:
        """` of …`, where there are other sets."""
        return f" of {self.title}" if self.title else ""

    @property
    def runs(self) -> list[RunRecord]:
        return [run for series in self.series for run in series.runs]

    @property
    def cells(self) -> list[str]:
        return list(dict.fromkeys(series.cell for series in self.series))

    @property
    def contenders(self) -> list[str]:
        return list(dict.fromkeys(series.by for series in self.series))


def _distinct_keys(series: list[tuple[str, Series]]) -> list[tuple[str, Series]]:
    """The same by keys that are all different."""
    if len({key for key, _ in series}) == len(series):
        return series
    return [(", ".join(filter(None, (key, one.settings))), one) for key, one in series]


def panels_of(
    sets: Sequence[ComparableSet], draw: Callable[[ComparableSet], Iterable[tuple[Panel, tuple[str, ...]]]]
) -> tuple[tuple[Panel, ...], tuple[str, ...]]:
    """The panels of the first MOST sets, and notes on what is not shown. `draw` gives those of one set."""
    drawn = [each for one in sets[:MOST] for each in draw(one)]
    notes = [note for _, omitted in drawn for note in omitted]
    return tuple(panel for panel, _ in drawn), (
        *notes,
        *omission_note(len(sets), MOST, "sets of comparable runs"),
    )


def comparable_sets(runs: Sequence[RunRecord], *modes: str) -> list[ComparableSet]:
    """The sets of the `ok` runs of some modes, in this order, of each that with the most series first."""
    good = [run for run in runs if run.ok and run.mode in modes]
    if not good:
        return []
    frame = pandas.DataFrame(
        [
            {name: text(getattr(run, name)) for name in (*SAME, *WHO)}
            | {"status": run.status, "config": run.config, "details": run.details}
            for run in good
        ]
    )
    frame, settings = _settings(frame)
    by_set: dict[tuple[str, ...], dict[tuple[str, ...], dict[tuple[str, ...], list[RunRecord]]]] = {}
    rows = zip(*(frame[name].map(text) for name in (*SAME, *WHO, *settings)), strict=True)
    for run, row in zip(good, rows, strict=True):
        same, who = row[: len(SAME)], row[len(SAME) : len(SAME) + len(WHO)]
        alike = by_set.setdefault(same, {}).setdefault(who, {})
        alike.setdefault(row[len(SAME) + len(WHO) :], []).append(run)
    parts = {same: _parts(same) for same in by_set}
    differ = [k for k, other in enumerate(zip(*parts.values(), strict=True)) if len(set(other)) > 1]
    made = [
        ComparableSet(
            ", ".join(filter(None, parts[same])),
            ", ".join(filter(None, (parts[same][k] for k in differ))),
            tuple(_series(members, settings)),
        )
        for same, members in by_set.items()
    ]
    return sorted(made, key=lambda one: (modes.index(one.runs[0].mode), -len(one.series), -len(one.runs)))


def _settings(frame: pandas.DataFrame) -> tuple[pandas.DataFrame, list[str]]:
    """The frame with a column for each setting that tells series apart: the size, what differs between runs
    of one cell, and what a backend has of its own."""
    frame, by = split_by_settings(frame, SAME, setting_filter=SIZE.__eq__)
    frame, by = split_by_settings(
        frame, [*by, "cell"], setting_filter=lambda name: not name.startswith("backend.")
    )
    frame, by = split_by_settings(frame, [*by, *WHO[1:]])
    # a file of weights has been trained from one seed
    return frame, [name for name in by if name not in (*SAME, *WHO, "weights")]


def _series(
    members: dict[tuple[str, ...], dict[tuple[str, ...], list[RunRecord]]], settings: Sequence[str]
) -> Iterator[Series]:
    every = [(who[0], values) for who, alike in members.items() for values in alike]
    for who, alike in sorted(members.items()):
        cell, backend, implementation, engine = who
        ways = {other[2:] for other in members if other[1] == backend}
        by = [backend]
        by += [implementation] if len({way[0] for way in ways}) > 1 else []
        by += [engine] if len({way[1] for way in ways}) > 1 else []
        differ = [
            k
            for k, name in enumerate(settings)
            if len({values[k] for of, values in every if of == cell or name == SIZE}) > 1
        ]
        for values, runs in sorted(alike.items(), key=lambda item: [_natural(value) for value in item[0]]):
            label = ", ".join(
                f"{settings[k].removeprefix('cell.').removeprefix('sequence.')}={values[k]}" for k in differ
            )
            yield Series(cell, " ".join(by), label, tuple(runs))


def _parts(same: tuple[str, ...]) -> tuple[str, ...]:
    """What runs have in common, in words."""
    of = dict(zip(SAME, same, strict=True))
    trained = MODES.get(of["mode"], "" if of["epochs"] == "0" else _counted(of["epochs"], "epoch"))
    return (
        f"{of['data']} by {of['sequence']}",
        trained,
        f"batch {of['batch_size']}",
        of["precision"],
        of["device_name"],
        _counted(of["threads"], "thread"),
    )


def _counted(count: str, what: str) -> str:
    return f"{count} {what}{'' if count == '1' else 's'}"


def _natural(value: str) -> tuple[bool, float, str]:
    """64 before 128, numbers before words."""
    try:
        return False, float(value), ""
    except ValueError:
        return True, 0.0, value
