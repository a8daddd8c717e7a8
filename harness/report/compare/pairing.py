"""Which runs belong together: those that are alike in all else that determines what is compared."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import pandas

from harness.config import identity
from harness.errors import CompareError
from harness.report.compare.sides import RunSelection
from harness.report.grouping import grouped
from harness.report.metrics import Metric
from harness.text import one_line

COLUMNS = {key.name: key.column for key in identity.KEYS if key.column not in ("", key.name)}
KEYS = {column: key for key, column in COLUMNS.items()}
RESOLVED = "backend.implementation"  # its column says what ran, not what was asked for
# what comes with a choice: a cell has options of its own, a GPU another name
ALONG = {
    "backend.name": ("backend.",),
    "cell.name": ("cell.",),
    "data.name": ("data.", "sequence."),
    "data.path": ("data.",),
    "sequence.name": ("sequence.",),
    "device": ("device",),
    "device_name": ("device",),
}
FEWEST_SEEDS = 3  # for which timings are paired: of two pairs Student's t is 12.7


@dataclass(frozen=True)
class Pair:
    """The runs of both sides in one configuration, which `label` tells from the others, by their row labels
    in the sides' frames. `seeds`: those of the runs, where one of a belongs to one of b; otherwise none.
    `problem`: what is computed, by whichever backend."""

    label: str
    a: list[list[int]]  # each one run, or all attempts at the same seed
    b: list[list[int]]
    seeds: tuple[int, ...]
    problem: tuple[str, ...] = ()


@dataclass(frozen=True)
class Pairs:
    """What is compared, what has no partner on the other side (in words), and what differs beside that which
    the sides name: as a note, or as a reason against comparing."""

    pairs: list[Pair]
    alone: list[str]
    notes: list[str]
    against: list[str]


def settings(frame: pandas.DataFrame) -> pandas.DataFrame:
    """What determines a run's figures, but for the seed: one column of text per key."""
    flattened = [identity.settings(config) for config in frame["config"]]
    table = pandas.DataFrame(flattened, index=frame.index, dtype=object)  # 1 stays 1 beside what is missing
    table["data.sha256"] = [str(details.get("data_sha256") or "")[:12] for details in frame["details"]]
    kind = frame["device"].map(lambda device: device.partition(":")[0])  # one of several GPUs has their name
    table["variables"] = [
        ", ".join(f"{name}={value}" for name, value in environment.get("variables", {}).items()) or "–"
        for environment in frame["environment"]
    ]
    table = table.assign(threads=frame["threads"], device=kind, device_name=frame["device_name"])
    return table.where(table.notna(), "–").map(str)


def pair(a: RunSelection, b: RunSelection, metric: Metric) -> Pairs:
    """Pairs of the runs of two sides, all of which have a figure; raises CompareError where there is none."""
    left, right = (settings(side.frame) for side in (a, b))
    keys, known = sorted({*left.columns, *right.columns}), {*left.columns} & {*right.columns}
    left, right = (each.reindex(columns=keys, fill_value="–") for each in (left, right))
    apart = [key for key in keys if not set(left[key]) & set(right[key])]
    common = [key for key in keys if key not in apart]
    for side, each in ((a, left), (b, right)):
        _check_one_kind(side, each, common, apart)
    groups = [_rows_by_values(each, common) for each in (left, right)]
    shared = [key for key in groups[0] if key in groups[1]]
    if not shared:
        raise CompareError(_nothing(a, b, left, right, common))
    distinguishing = _distinguishing(common, [*groups[0], *groups[1]])

    def label(key: tuple[str, ...]) -> str:
        return ", ".join(f"{COLUMNS.get(common[k], common[k])}={_shown(key[k])}" for k in distinguishing)

    pairs, alone = [], []
    for key in shared:
        made, rest = _of_one(label(key), a, b, groups[0][key], groups[1][key], metric)
        problem = tuple(
            value
            for name, value in zip(common, key, strict=True)
            if not name.startswith(identity.names("contender", "machine"))
        )
        pairs.append(replace(made, problem=problem))
        alone += rest
    for side, mine, theirs in ((a, groups[0], groups[1]), (b, groups[1], groups[0])):
        alone += [
            f"{_runs(len(rows))} of {side.text}: {label(key)}"
            for key, rows in mine.items()
            if key not in theirs
        ]
    notes: list[str] = []
    against: list[str] = []
    for key in apart:
        if _named(key, a.named | b.named):
            continue
        difference = f"{key}: {_values(a, left[key])}; {_values(b, right[key])}"
        checked = key.startswith(identity.names("task", "network")) or (
            key in identity.names("machine") and metric.column.machine_dependent
        )
        checked |= metric.column.of_fastest and key == "measure.window_seconds"  # shorter windows vary more
        (against if checked and key in known else notes).append(difference)  # older runs know fewer keys
    return Pairs(pairs, alone, notes, against)


def _distinguishing(keys: Sequence[str], configurations: Sequence[tuple[str, ...]]) -> list[int]:
    """Few of the keys, by their place, that distinguish all configurations: one after another the key that
    separates most of them, columns first, of several the first in `KEYS`."""
    order = [keys.index(key) for key in COLUMNS if key in keys]
    order += [k for k, key in enumerate(keys) if key not in COLUMNS]
    selected: list[int] = []
    kinds, all_kinds = 1, len(set(configurations))
    while kinds < all_kinds:
        more = {
            k: len({tuple(values[j] for j in (*selected, k)) for values in configurations}) for k in order
        }
        selected.append(max(more, key=lambda k: (keys[k] in COLUMNS and more[k] > kinds, more[k])))
        kinds = more[selected[-1]]
    return selected


def _named(key: str, columns: frozenset[str]) -> bool:
    """Whether a key is what the sides say they vary, or comes along with it."""
    varied = {KEYS.get(column, column) for column in columns}
    if key in varied:
        return True
    return key != "cell.hidden" and any(key.startswith(ALONG.get(each, ())) for each in varied)


def _rows_by_values(values: pandas.DataFrame, keys: Sequence[str]) -> dict[tuple[str, ...], list[int]]:
    """Row labels by the values of keys."""
    rows = grouped(values[list(keys)].itertuples(), lambda row: tuple(row[1:]))
    return {key: [row[0] for row in same] for key, same in rows.items()}


def _check_one_kind(
    side: RunSelection, values: pandas.DataFrame, common: Sequence[str], apart: Sequence[str]
) -> None:
    """Refuses a side whose runs of one configuration are of several kinds: each would be compared with the
    same runs of the other."""
    for rows in _rows_by_values(values, common).values():
        for key in apart:
            kinds = sorted(set(values.loc[rows, key]))
            if len(kinds) > 1:
                name = key if key == RESOLVED else COLUMNS.get(key, key)
                raise CompareError(
                    f"{side.text}: its runs differ in {name} ({', '.join(map(_shown, kinds))}), and none of "
                    f"these is on the other side; choose one: {_more(side.text, f'{name}={kinds[0]}')}"
                )


def _more(text: str, choice: str) -> str:
    return f"{text},{choice}" if "=" in text else f"--where {choice}"


def _of_one(
    label: str, a: RunSelection, b: RunSelection, left: list[int], right: list[int], metric: Metric
) -> tuple[Pair, list[str]]:
    """The runs of one configuration. What the seed decides is paired by seed, where any seed is on both
    sides. A timing owes nothing to its seed: all runs of a configuration are alike, unless they were made
    seed by seed."""
    if not metric.column.seeded and not _seed_by_seed(a, b, left, right):
        return Pair(label, [[row] for row in left], [[row] for row in right], seeds=()), []
    seeds = [_by_seed(a, left), _by_seed(b, right)]
    both = sorted(seeds[0].keys() & seeds[1].keys())
    if not both:
        return Pair(label, list(seeds[0].values()), list(seeds[1].values()), seeds=()), []
    where = f" ({label})" if label else ""
    alone = [
        f"{_runs(len(rows))} of {side.text}{where}: seed={seed}"
        for side, mine in zip((a, b), seeds, strict=True)
        for seed, rows in mine.items()
        if seed not in both
    ]
    return Pair(label, [seeds[0][s] for s in both], [seeds[1][s] for s in both], seeds=tuple(both)), alone


def _seed_by_seed(a: RunSelection, b: RunSelection, left: Sequence[int], right: Sequence[int]) -> bool:
    """Whether the two runs of each seed followed one another, and each side came first for a third of the
    seeds or more, as in a sweep in blocks: what the machine was busy with meanwhile then met both, and a
    steady drift favoured neither. Pairs of fewer seeds are worth less than single runs are."""
    made = []
    for side, rows in ((a, left), (b, right)):
        seeds = [int(side.frame["seed"][row]) for row in rows]
        if len(set(seeds)) < max(len(seeds), FEWEST_SEEDS):
            return False
        made += [(side.frame["started"][row], seed, side is a) for row, seed in zip(rows, seeds, strict=True)]
    made.sort()
    order, first = [seed for _, seed, _ in made], [of_a for _, _, of_a in made[::2]]
    in_turns = 3 * min(first.count(True), first.count(False)) >= len(first)
    return len(left) == len(right) and order[::2] == order[1::2] and in_turns


def _by_seed(side: RunSelection, rows: Sequence[int]) -> dict[int, list[int]]:
    return grouped(rows, lambda row: int(side.frame["seed"][row]))


def _nothing(
    a: RunSelection, b: RunSelection, left: pandas.DataFrame, right: pandas.DataFrame, common: Sequence[str]
) -> str:
    """Why no run has a partner: in what those differ that differ in the least."""
    one, other = (each[list(common)].drop_duplicates().to_numpy() for each in (left, right))
    k, j = min(_products(len(one), len(other)), key=lambda at: int((one[at[0]] != other[at[1]]).sum()))
    differ = [(key, x, y) for key, x, y in zip(common, one[k], other[j], strict=True) if x != y]
    differences = "; ".join(
        f"{key}: {_shown(x)} in {a.text}, {_shown(y)} in {b.text}" for key, x, y in differ
    )
    return f"no run of {a.text} is like one of {b.text} in all else; the closest two differ in {differences}"


def _products(first: int, second: int) -> Iterator[tuple[int, int]]:
    return ((k, j) for k in range(first) for j in range(second))


def _values(side: RunSelection, values: pandas.Series) -> str:
    """The values of a key on one side, and how many runs have them."""
    counts = Counter(values)
    return (
        f"{', '.join(f'{_shown(value)} ({_runs(n)})' for value, n in sorted(counts.items()))} in {side.text}"
    )


def _shown(value: str) -> str:
    return one_line(value, 60)


def _runs(count: int) -> str:
    return f"{count} run{'s' * (count != 1)}"
