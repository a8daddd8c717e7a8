"""A side that trains as a run does: `python -m harness.commands.race.side_session EVENTS_FD`, see `turns`.

Data, weights, warm-up, the weights put back and parity proved, as in `harness.runner.run`; then windows of
updates on random batches of the training set.
"""

from dataclasses import asdict
from typing import Any

from harness.commands.race.side_loop import Offer, serve
from harness.config import catalogue
from harness.config import dataset as chosen
from harness.config.schema import Config
from harness.runner import run, throughput
from harness.runner.import_guard import hidden


def build(job: dict[str, Any]) -> Offer:
    """The session of a configuration on so many cores; raises HarnessError for what a person can mend."""
    config = Config.from_mapping(job["config"])
    dataset = chosen.open_dataset(config)
    shape = chosen.shape_in(config, dataset)
    run.check_batch(config, dataset)
    device = "cuda" if config.device.startswith("cuda") else config.device
    setup = config.setup(shape, threads=len(job["cores"]), device=device)
    start = run.initial_weights(config, setup)
    with hidden(catalogue.unused_packages(config.backend.name, config.backend.engine)):
        session = run.open_session(config.backend.name, setup)
    session.put_weights(start)
    examples = len(dataset.train.labels)
    session.load("train", chosen.sequences(config, dataset, "train"), dataset.train.labels)
    found: dict[str, Any] = {}

    def keep(event: str, **content: Any) -> None:
        found.update(content.get("fields", {}))

    throughput.warm_up(session, config, examples, keep)
    session.put_weights(start)
    run.prove(session, config, setup, start, dataset, keep)
    facts = {
        "implementation": session.implementation,
        "kernel": session.kernel,
        "device": session.device,
        "device_name": session.device_name,
        "batch_size": config.train.batch_size,
        "shape": asdict(shape),
        **{name: found[name] for name in ("parity_loss", "parity_gradient", "first_call_seconds")},
    }
    return Offer(throughput.updates(session, config, examples, "race"), least=1, facts=facts)


if __name__ == "__main__":
    serve(build)
