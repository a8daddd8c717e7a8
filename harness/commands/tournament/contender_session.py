"""A contender that trains as a run does: `python -m harness.commands.tournament.contender_session EVENTS_FD`.

It loads the data, draws the weights, warms up, restores the weights and checks parity as `harness.runner.run`
does, and takes requests as `contender_loop` says. Its windows are updates on random batches of the training
set. Beside its properties it reports the columns of a run's record that it knows by then.
"""

from dataclasses import asdict
from typing import Any

from harness.commands.tournament.contender_loop import BuiltContender, serve
from harness.config.dataset import open_dataset
from harness.config.schema import Config
from harness.measure.memory import memory_bytes
from harness.runner import proof, spinning
from harness.runner.context import prepare
from harness.runner.modes import throughput
from harness.runner.protocol import Message, Update


def build(job: dict[str, Any]) -> BuiltContender:
    """Opens the session of the job's configuration; raises HarnessError for errors that a user can fix."""
    config = Config.from_mapping(job["config"])
    columns: dict[str, Any] = {}

    def keep_columns(message: Message) -> None:
        if isinstance(message, Update):
            columns.update(message.columns)

    others, dataset = spinning.monitor(job["cores"]), open_dataset(config)
    spinning.settle(config, others)
    context = prepare(config, dataset, threads=len(job["cores"]), emit=keep_columns)
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
        "flops_per_sequence": context.model.flops_per_sequence,
        "memory_bytes": memory_bytes(),
        **columns,
    }
    return BuiltContender(throughput.updates(context, "race"), minimum_updates=1, properties=properties)


if __name__ == "__main__":
    serve(build)
