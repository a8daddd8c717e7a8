"""One of the configurations that compete."""

from dataclasses import dataclass

from harness.config.checks import config_error
from harness.config.schema import Config
from harness.errors import HarnessError
from harness.launcher import launch, preflight


class TournamentError(HarnessError):
    """A tournament that cannot start or whose result cannot be written; the message says why."""


@dataclass(frozen=True)
class Contender:
    """A configuration that is timed against others.

    `name` tells it from the others, as it was typed; `threads` is the number of cores that it uses on this
    machine, `gpus` the GPUs that it can run on; `names_device`: whether its device was chosen.
    """

    name: str
    config: Config
    threads: int
    gpus: tuple[str, ...]
    names_device: bool = False


def contender(name: str, config: Config, *, names_device: bool) -> Contender:
    """Raises Unavailable if the machine lacks the cores or the device; ConfigError, DataError and
    WeightsError for a batch or a file that cannot be used."""
    preflight.check_inputs(config)
    threads, gpus = launch.threads_and_gpus(config)
    return Contender(name, config, threads, tuple(gpus), names_device)


def check_timeable(config: Config, competition: str) -> None:
    """Raises ConfigError for a configuration that has no updates to time; `competition` names what times
    them."""
    if config.mode == "stream":
        raise config_error("mode", config.mode, f"a {competition} times updates: train or throughput")
    if config.train.solver != "gradient":
        raise config_error("train.solver", config.train.solver, f"a {competition} times updates: gradient")
