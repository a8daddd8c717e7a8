"""The two sides of a comparison, from what a person typed: filters, a place of results, or a revision.

backend=torch,cell=lstm,gru     runs with these values of columns or configuration keys
results/before  s3://bucket/x   all runs of another results directory or URL
main  v0.5.0  3f2a91c           runs made by that revision of this project
rev:main  ./main                the one or the other, where both are there
"""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches

import pandas

from harness.errors import CompareError
from harness.measure.machine import git
from harness.report.frame import filter_runs, with_config
from harness.store import frames
from harness.store.record import DETAIL

REVISION = "rev:"
PATHLIKE = (".", "/", "~")


@dataclass(frozen=True)
class RunSelection:
    """`text` as it was typed, its attempts at runs, and the columns that it names."""

    text: str
    frame: pandas.DataFrame
    named: frozenset[str] = frozenset()


class StoredRuns:
    """The runs of `--results`, read when a side asks for them."""

    def __init__(self, results: str) -> None:
        self.results = results
        self._frame: pandas.DataFrame | None = None

    @property
    def frame(self) -> pandas.DataFrame:
        if self._frame is None:
            self._frame = read_runs(self.results)
        return self._frame


def read_runs(place: str) -> pandas.DataFrame:
    """Every good attempt at a run there, beside its columns the configuration's keys; raises CompareError
    where there are none, and StoreError."""
    frame = frames.load(place, attempts=True)
    if frame.empty:
        raise CompareError(f"no runs in {place}; make some with: python run.py data=digits")
    return with_config(frame)


def select_sides(
    first: str, second: str, results: str, filters: Sequence[str]
) -> tuple[RunSelection, RunSelection]:
    """Both sides, of the runs for which all `filters` hold.

    Raises CompareError for a side that is nothing, more than one thing, without runs, or whose runs are on
    the other side too.
    """
    stored = StoredRuns(results)
    sides = []
    for text in (first, second):
        side = _side(text, stored)
        frame = filter_runs(side.frame, filters)
        if frame.empty:
            among = f" where {' and '.join(filters)}" if filters else ""
            raise CompareError(f"{text}: no runs{among}")
        sides.append(RunSelection(text, frame, side.named))
    a, b = sides
    both = _identities(a) & _identities(b)
    if both:
        some = "the same runs" if both == _identities(a) == _identities(b) else f"{len(both)} runs in common"
        raise CompareError(f"{first} and {second} have {some}: each side needs runs of its own")
    return a, b


def _identities(side: RunSelection) -> set[tuple[str, str]]:
    """Attempts, wherever they have been copied to."""
    return set(zip(side.frame["key"], side.frame["started"], strict=True))


def _side(text: str, stored: StoredRuns) -> RunSelection:
    if text.startswith(REVISION):
        return _at_revision(text, _revision(text.removeprefix(REVISION), stored), stored)
    path = os.path.expanduser(text)  # noqa: PTH111  pathlib's raises where nobody is called so
    if "://" in text.partition("=")[0] or text.startswith(PATHLIKE):
        return RunSelection(text, read_runs(text if "://" in text else path))
    filters = re.match(r"[^=/]+=", text) is not None
    directory = os.path.isdir(path)  # noqa: PTH112  pathlib's raises at a name that is too long
    revision = None if filters else _revision(text, stored, needed=not directory)
    kinds = {"a filter": filters, "a directory": directory, "a revision": revision is not None}
    if sum(kinds.values()) > 1:
        names = " and ".join(name for name, fits in kinds.items() if fits)
        raise CompareError(
            f"{text}: is {names}; say ./{text} for the directory, {REVISION}{text} for the revision"
        )
    if filters:
        return _filtered(text, stored)
    return RunSelection(text, read_runs(text)) if directory else _at_revision(text, revision, stored)


def _filtered(text: str, stored: StoredRuns) -> RunSelection:
    """`a=1,b=2,3`: a comma separates filters where a `=` follows before the next one, and else values."""
    filters = re.split(r",(?=[^,=]+=)", text)
    columns = [item.partition("=")[0] for item in filters]
    known = [name for name in stored.frame.columns if name not in DETAIL]
    for column in columns:
        if column not in known:
            close = get_close_matches(column, known, n=1)
            hint = f"; did you mean {close[0]}?" if close else ""
            raise CompareError(f"{text}: {column!r} is no column{hint}\nThere are: {', '.join(known)}")
    return RunSelection(text, filter_runs(stored.frame, filters), frozenset(columns))


def _at_revision(text: str, revision: str | None, stored: StoredRuns) -> RunSelection:
    """The runs of one revision; `revision` as `_revision` gave it."""
    made = _revisions(stored.frame)
    frame = stored.frame[made == revision]
    if frame.empty:
        known = map(str, made.dropna().unique())
        known_revisions = ", ".join(name[:12] + "+" * name.endswith("+") for name in known)
        hint = f"; with uncommitted changes: {REVISION}{revision}+" if f"{revision}+" in set(made) else ""
        raise CompareError(
            f"{text}: no runs of revision {revision} in {stored.results}{hint}; "
            f"there are runs of {known_revisions or 'none'}"
        )
    return RunSelection(text, frame)


def _revision(name: str, stored: StoredRuns, *, needed: bool = True) -> str | None:
    """The full revision that a name stands for: what git says, or what stored runs begin with. A `+` at its
    end means: with uncommitted changes.

    None, or where it is `needed` CompareError, for a name that stands for none.
    """
    bare, dirty = name.removesuffix("+"), "+" * name.endswith("+")
    commits = {commit} if (commit := _commit(bare)) else set()
    if re.fullmatch(r"[0-9a-f]{4,40}", bare) and (needed or commits):
        made = {str(each).removesuffix("+") for each in _revisions(stored.frame).dropna()}
        commits |= {each for each in made if each.startswith(bare)}
    if len(commits) > 1:
        raise CompareError(f"{name}: is more than one revision: {', '.join(sorted(commits))}")
    if commits:
        return commits.pop() + dirty
    if needed:
        raise CompareError(
            f"{name}: is no filter (COLUMN=VALUE), no results directory or URL, no revision of this project, "
            f"and none of the runs in {stored.results} was made by"
        )
    return None


def _commit(name: str) -> str | None:
    """What git calls a commit of this project, in full; None where it knows none."""
    if not name or name.startswith("-"):
        return None
    return git("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}")


def _revisions(frame: pandas.DataFrame) -> pandas.Series:
    return frame["environment"].map(lambda environment: environment.get("git_revision"))
