"""What the commands of the harness import, and what Hydra works out once; see `tests.support.forked`."""

import os

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # a process that is forked from had better have no threads

from hydra.core.plugins import Plugins

import harness.api
import harness.commands.cli
import harness.report.table.command

Plugins.instance()
harness.config.compose.configuration(["data=digits"])
