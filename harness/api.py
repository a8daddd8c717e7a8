"""For notebooks and scripts: a list of overrides becomes a run and its record, or a session to play with."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hydra import compose, initialize_config_dir
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from harness import store
from harness.commands.run import command_line, conf, explain, from_hydra
from harness.config import dataset
from harness.config.checks import refuse
from harness.config.compose import readable
from harness.config.schema import Config
from harness.errors import ConfigError
from harness.launcher import preflight
from harness.store.record import RunRecord
from harness.sweep import Task, make_alone
from harness.sweep.display import Watch

if TYPE_CHECKING:
    from harness.backends.base import Session


def configuration(overrides: Sequence[str] = ()) -> Config:
    """What `python run.py *overrides` would run, validated as a whole; raises ConfigError, or DataError for
    a data file that cannot be used."""
    try:
        readable(overrides)
        with initialize_config_dir(version_base="1.3", config_dir=str(conf())):
            config = from_hydra(compose("config", list(overrides)))
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError(explain(error)) from error
    preflight.check(config)
    return config


def run(overrides: Sequence[str] = ()) -> RunRecord:
    """Makes the run that `python run.py *overrides` makes, or finds it complete, and returns its record.

    The record's `status` says how it ended. Raises HarnessError (ConfigError, StoreError and the like) where
    nothing could start for the configuration's sake, and KeyboardInterrupt on Ctrl-C, after its record
    is stored.
    """
    config = configuration(overrides)
    if config.sweep.dry_run:
        raise refuse("sweep.dry_run", True, "is for the command: python run.py … sweep.dry_run=true")
    store.prepare(config.results.root)
    watch = Watch(total=1)
    task = Task(0, config.to_mapping(), command_line(overrides), None, str(Path.cwd()))
    try:
        return make_alone(task, watch.tell, interactive=watch.interactive).record
    finally:
        watch.stop()


def open_session(overrides: Sequence[str] = ()) -> "Session":
    """The model of a configuration in this process, with its initial weights or those of `weights=PATH`.

    See `harness.backends.base.Session` for what it can do: outputs of any batch, every state by name,
    gradients, updates. Raises ConfigError, WeightsError, DataError or Unavailable.
    """
    from harness.measure.devices import thread_count
    from harness.runner import run as runner

    config = configuration(overrides)
    threads = thread_count(config.threads, gpu=config.device.startswith("cuda"))
    setup = config.setup(dataset.shape_of(config), threads=threads, device=config.device)
    session = runner.open_session(config.backend.name, setup)
    session.put_weights(runner.initial_weights(config, setup))
    return session
