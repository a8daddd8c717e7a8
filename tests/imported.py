"""What the commands of the harness import, and what Hydra works out once; see `tests.forked`."""

from hydra.core.plugins import Plugins

import harness.api
import harness.cli
import harness.report.table

Plugins.instance()
harness.api.configuration(["data=digits"])
