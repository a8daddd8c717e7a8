"""Who competes with whom: the configurations of a sweep, in groups, checked before anything starts."""

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from harness.commands.tournament.contender import Contender, TournamentError, check_timeable, contender
from harness.commands.tournament.result import Failure
from harness.config import identity
from harness.config.checks import config_error
from harness.config.compose import COMPOSITION_ERRORS, explain
from harness.config.flat import flat
from harness.config.schema import Config
from harness.errors import ConfigError, HarnessError, Unavailable
from harness.report.grouping import grouped
from harness.sweep.plan import make_plan
from harness.sweep.task import Task

KEYS = {key.column: key.name for key in identity.KEYS if key.column}


@dataclass(frozen=True)
class Group:
    """Configurations that compete with one another. `name` says what tells the group from the others, ""
    for the only one; `unavailable` has those that cannot start on this machine, by their number."""

    name: str
    contenders: tuple[Contender, ...]
    unavailable: dict[int, Failure]


def plan(overrides: Sequence[str], group: str | None = None) -> list[Group]:
    """The groups of a sweep over configurations, as `run.py -m` takes it.

    `group` names the keys or columns, separated by commas, that are alike in a group; None stands for the
    cell, the network and the task. Raises HarnessError for a sweep that is not valid as a whole, and for a
    group with a single contender.
    """
    tasks = _tasks(overrides)
    keys = None if group is None else _keys(group, tasks[0].config)
    for task in tasks:
        _check(task.config)
    competing = grouped(tasks, lambda task: _alike(task.config, keys))
    typed = {task.number: shlex.split(task.command)[2:] for task in tasks}
    everywhere = _common(typed.values())
    return [_group(same, typed, everywhere) for same in competing.values()]


def _tasks(overrides: Sequence[str]) -> list[Task]:
    try:
        planned = make_plan(["--multirun", *overrides])
    except HarnessError:
        raise
    except COMPOSITION_ERRORS as error:
        raise ConfigError(explain(error)) from error
    if planned is None or planned.tasks is None:
        raise TournamentError(
            "hydra/sweeper: a search chooses one configuration after another, and a tournament needs all of "
            "them at once: name the values, separated by commas"
        )
    return planned.tasks


def _check(config: Config) -> None:
    check_timeable(config, "tournament")
    if config.logger.name != "none":
        raise config_error("logger.name", config.logger.name, "a tournament is not logged: none")


def _keys(text: str, config: Config) -> list[str]:
    """Configuration keys, each named as such or by its column; "" names none. Raises TournamentError."""
    known = flat(config.to_mapping())
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if KEYS.get(name, name) not in known:
            columns = sorted(column for column, key in KEYS.items() if key in known)
            raise TournamentError(
                f"--group {text}: {name!r} is neither a configuration key nor one of {', '.join(columns)}"
            )
    return [KEYS.get(name, name) for name in names]


def _alike(config: Config, keys: Sequence[str] | None) -> tuple[tuple[str, object], ...]:
    """What is the same for all contenders of a configuration's group."""
    values = flat(config.to_mapping())
    if keys is None:
        wanted = identity.names("cell", "network", "task")
        return tuple((name, value) for name, value in values.items() if name.startswith(wanted))
    return tuple((name, values.get(name)) for name in keys)


def _common(typed: Iterable[Sequence[str]]) -> set[str]:
    """The overrides that all have."""
    return set.intersection(*map(set, typed))


def _group(tasks: Sequence[Task], typed: dict[int, list[str]], everywhere: set[str]) -> Group:
    """`everywhere` are the overrides that all groups have in common."""
    shared = _common(typed[task.number] for task in tasks)
    own = [word for word in typed[tasks[0].number] if word in shared and word not in everywhere]
    name = " ".join(own)
    if len(tasks) < 2:
        alone = name or "one configuration"
        raise TournamentError(
            f"{alone}: has nobody to compete with; --group names the keys that are alike in a group "
            '(--group "" is one group of all)'
        )
    names = _distinct(
        [" ".join(w for w in typed[task.number] if w not in shared) or "as configured" for task in tasks]
    )
    contenders, unavailable = [], {}
    for number, (task, each) in enumerate(zip(tasks, names, strict=True)):
        config = Config.from_mapping(task.config.to_mapping() | {"mode": "throughput", "objective": None})
        names_device = any(word.startswith("device=") for word in each.split())
        try:
            contenders.append(contender(each, config, names_device=names_device))
        except Unavailable as error:
            contenders.append(Contender(each, config, config.threads or 0, (), names_device))
            unavailable[number] = Failure("skipped", str(error))
    return Group(name, tuple(contenders), unavailable)


def _distinct(names: Sequence[str]) -> list[str]:
    """The names, numbered where several are the same."""
    return [
        f"{name} ({names[: k + 1].count(name)})" if names.count(name) > 1 else name
        for k, name in enumerate(names)
    ]
