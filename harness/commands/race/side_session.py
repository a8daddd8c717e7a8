"""A side that trains as a run does: `python -m harness.commands.race.side_session EVENTS_FD`.

It loads the data, draws the weights, warms up, restores the weights and checks parity as `harness.runner.run`
does, and takes requests as `side_loop` says. Its windows are updates on random batches of the training set.
"""

from dataclasses import asdict
from typing import Any

from harness.commands.race.side_loop import BuiltSide, serve
from harness.config import catalogue
from harness.config.dataset import open_dataset, sequences, shape_in
from harness.config.schema import Config
from harness.runner import run, throughput
from harness.runner.import_guard import hidden


def build(job: dict[str, Any]) -> BuiltSide:
    """Opens the session of the job's configuration; raises HarnessError for errors that a user can fix."""
    config = Config.from_mapping(job["config"])
    dataset = open_dataset(config)
    shape = shape_in(config, dataset)
    run.check_batch(config, dataset)
    device = "cuda" if config.device.startswith("cuda") else config.device
    setup = config.setup(shape, threads=len(job["cores"]), device=device)
    start = run.initial_weights(config, setup)
    with hidden(catalogue.unused_packages(config.backend.name, config.backend.engine)):
        session = run.open_session(config.backend.name, setup)
    session.put_weights(start)
    examples = len(dataset.train.labels)
    session.load("train", sequences(config, dataset, "train"), dataset.train.labels)
    found: dict[str, Any] = {}

    def keep(event: str, **content: Any) -> None:
        found.update(content.get("fields", {}))

    throughput.warm_up(session, config, examples, keep)
    session.put_weights(start)
    run.prove(session, config, setup, start, dataset, keep)
    properties = {
        "implementation": session.implementation,
        "kernel": session.kernel,
        "device": session.device,
        "device_name": session.device_name,
        "batch_size": config.train.batch_size,
        "shape": asdict(shape),
        **{name: found[name] for name in ("parity_loss", "parity_gradient", "first_call_seconds")},
    }
    run_updates = throughput.updates(session, config, examples, "race")
    return BuiltSide(run_updates, minimum_updates=1, properties=properties)


if __name__ == "__main__":
    serve(build)
