"""A side that trains as a run does: `python -m harness.commands.race.side_session EVENTS_FD`.

It loads the data, draws the weights, warms up, restores the weights and checks parity as `harness.runner.run`
does, and takes requests as `side_loop` says. Its windows are updates on random batches of the training set.
"""

from dataclasses import asdict
from typing import Any

from harness.commands.race.side_loop import BuiltSide, serve
from harness.config.dataset import open_dataset
from harness.config.schema import Config
from harness.runner import proof
from harness.runner.context import prepare
from harness.runner.modes import throughput
from harness.runner.protocol import Message, Update


def build(job: dict[str, Any]) -> BuiltSide:
    """Opens the session of the job's configuration; raises HarnessError for errors that a user can fix."""
    config = Config.from_mapping(job["config"])
    columns: dict[str, Any] = {}

    def keep_columns(message: Message) -> None:
        if isinstance(message, Update):
            columns.update(message.columns)

    context = prepare(config, open_dataset(config), threads=len(job["cores"]), emit=keep_columns)
    context.load("train")
    throughput.warm_up(context)
    proof.restart(context)
    session = context.session
    properties = {
        "implementation": session.implementation,
        "kernel": session.kernel,
        "device": session.device,
        "device_name": session.device_name,
        "batch_size": config.train.batch_size,
        "shape": asdict(context.shape),
        **{name: columns[name] for name in ("parity_loss", "parity_gradient", "first_call_seconds")},
    }
    return BuiltSide(throughput.updates(context, "race"), minimum_updates=1, properties=properties)


if __name__ == "__main__":
    serve(build)
