"""What tells two runs apart: one list of the configuration's keys, each with its role and the reason.

A run's key, groups of a table, pairs of a comparison, series of the page and lines of the scaling report
all read this list. A key that is not in it is a setting, such as a learning rate or an option of a cell: runs
that differ in one are different runs everywhere.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from harness.config.flat import flat

Role = Literal["irrelevant", "seed", "contender", "cell", "network", "task", "length", "machine"]


@dataclass(frozen=True)
class Key:
    """A key of the configuration, or all keys of a section where `name` ends with a dot.

    Roles: `irrelevant` to the result; `seed`, over which figures are averaged; `contender`, who computes;
    `cell` and `network`, what is computed; `task`, on which data and how; `length`, how long training and
    measuring last; `machine`, where. `column` is the record's column that holds the same, or, for
    `backend.implementation`, what `auto` became.
    """

    name: str
    role: Role
    reason: str
    column: str = ""


KEYS = (
    Key("results.", "irrelevant", "where the record is written"),
    Key("run.", "irrelevant", "when the process is stopped, not what it computes"),
    Key("sweep.", "irrelevant", "which runs are made again, and in which order"),
    Key("objective", "irrelevant", "read from the record afterwards"),
    Key("logger.", "irrelevant", "who else is told"),
    Key("save_weights", "irrelevant", "what is written beside the record"),
    Key("train.checkpoint_epochs", "irrelevant", "a resumed run computes the same"),
    Key("data.root", "irrelevant", "where downloads are kept"),
    Key("data.download", "irrelevant", "how the data gets there"),
    Key("data.path", "irrelevant", "the content counts, by its hash"),
    Key("seed", "seed", "chance: runs that differ in it alone are repetitions", "seed"),
    Key("backend.name", "contender", "who computes", "backend"),
    Key("backend.implementation", "contender", "the code that computes", "implementation"),
    Key("backend.engine", "contender", "the framework below Keras", "engine"),
    Key("backend.", "contender", "options of one backend"),
    Key("cell.name", "cell", "other equations", "cell"),
    Key("cell.hidden", "network", "another amount of work", "hidden"),
    Key("model.layers", "network", "another amount of work", "layers"),
    Key("model.bidirectional", "network", "another amount of work", "bidirectional"),
    Key("model.", "network", "another network around the cell"),
    Key("train.truncate", "network", "another amount of work in each update"),
    Key("mode", "task", "whether and how a run trains", "mode"),
    Key("sequence.name", "task", "other steps", "sequence"),
    Key("sequence.", "task", "other steps"),
    Key("data.name", "task", "other sequences", "data"),
    Key("data.", "task", "other sequences, or others of them"),
    Key("train.batch_size", "task", "other updates, and another amount of work in each", "batch_size"),
    Key("train.epochs", "length", "more updates of the same kind", "epochs"),
    Key("measure.", "length", "how long is measured"),
    Key("evaluate.", "length", "how the test set is read after training"),
    Key("precision", "task", "another arithmetic", "precision"),
    Key("device", "machine", "what computes; of several GPUs of one name any"),
    Key("device_name", "machine", "the processor or GPU that it turned out to be", "device_name"),
    Key("threads", "machine", "how many cores it had", "threads"),
    Key("variables", "machine", "environment variables that change speed or arithmetic"),
)
# keys that came when there were records already, each with the value by which a run is what it was without
YOUNGER: dict[str, Any] = {"backend.shards": 1, "backend.pad_features": False}
SPLIT = ("test_fraction", "split_seed")  # keys of `data` that matter only to files that come unsplit


def names(*roles: Role) -> tuple[str, ...]:
    """The keys of some roles; those that end with a dot stand for all keys that begin with them."""
    return tuple(key.name for key in KEYS if key.role in roles)


def columns(*roles: Role) -> tuple[str, ...]:
    """The record's columns that hold the keys of some roles."""
    return tuple(key.column for key in KEYS if key.role in roles and key.column)


def essential(config: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a configuration, as plain data, that determines a run's result, the seed included."""
    irrelevant = names("irrelevant")
    kept: dict[str, Any] = {}
    for name, value in config.items():
        if name in irrelevant or f"{name}." in irrelevant:
            continue
        if isinstance(value, Mapping):
            value = {
                key: item
                for key, item in value.items()
                if f"{name}.{key}" not in irrelevant and (f"{name}.{key}", item) not in YOUNGER.items()
            }
        kept[name] = value
    return kept


def settings(config: Mapping[str, Any], *without: Role) -> dict[str, Any]:
    """By dotted key what tells a run from others that are no repetitions of it, `without` the keys of some
    roles."""
    left_out = names("irrelevant", "seed", *without)
    every = {**YOUNGER, **flat(config)}
    return {name: value for name, value in every.items() if not name.startswith(left_out)}


def younger_keys(section: str) -> dict[str, Any]:
    """The keys of a section, `backend.`, that older records lack, with what that means."""
    return {name.removeprefix(section): value for name, value in YOUNGER.items() if name.startswith(section)}
