"""For notebooks and scripts: one run, from a list of overrides to its record."""

from collections.abc import Sequence

from hydra import compose, initialize_config_dir
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from harness.app import CONF, command_line, explain, from_hydra
from harness.errors import ConfigError
from harness.launcher import launch
from harness.progress import Progress
from harness.record import RunRecord


def run(overrides: Sequence[str] = ()) -> RunRecord:
    """Makes the run that `python run.py *overrides` makes, or finds it complete, and returns its record.

    The record's `status` says how it ended. Raises HarnessError (ConfigError and the like) where
    nothing could start for the configuration's sake, and KeyboardInterrupt on Ctrl-C, after its record
    is stored.
    """
    try:
        with initialize_config_dir(version_base="1.3", config_dir=str(CONF)):
            config = from_hydra(compose("config", list(overrides)))
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError(explain(error)) from error
    display = Progress()
    display.begin(config)
    try:
        outcome = launch(config, command=command_line(list(overrides)), display=display)
    finally:
        display.stop()
    display.end(outcome.record, reused=outcome.reused)
    if outcome.record.status == "interrupted":
        raise KeyboardInterrupt
    return outcome.record
