"""One run, in this process: data -> session -> warm-up -> parity -> epochs -> evaluation, or what another
mode has in their place.

The warm-up comes first, so that the first call that is timed is the first there is; then the initial
weights are put back. What is found is emitted as it is found, so that a run that ends early keeps what
it had.
"""

from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

from harness import data
from harness.backends.base import Session, Setup, Weights
from harness.config import catalogue
from harness.config import dataset as chosen
from harness.config.schema import Config
from harness.errors import ConfigError, DataError, Unavailable
from harness.measure.contention import Contention
from harness.measure.memory import memory_bytes, peak_memory_bytes
from harness.model.initializers import draw
from harness.model.precision import held_in
from harness.runner import (
    checkpointing,
    diagnostics,
    evaluation,
    out_of_memory,
    parity,
    ridge,
    roofline,
    streaming,
    throughput,
    training,
)
from harness.runner.import_guard import hidden
from harness.runner.protocol import Emit, Job
from harness.store import weights

COUNTED = 1000  # test sequences over which a cell's counters are averaged


def run(job: Job, emit: Emit) -> None:
    """Makes one run. Raises HarnessError for what a person can mend; emits updates on the way."""
    config = job.config
    emit("phase", name="data")
    emit("note", text="loading data")
    dataset = chosen.open_dataset(config)
    if dataset.sha256 != job.data_sha256:
        raise DataError(f"data.path={config.data.path}: changed while the run was waiting to start")
    shape = chosen.shape_in(config, dataset)
    check_batch(config, dataset)
    device = "cuda" if config.device.startswith("cuda") else config.device
    setup = config.setup(shape, threads=job.threads, device=device)
    start = initial_weights(config, setup)
    emit("phase", name="imports")
    emit("note", text=f"starting {config.backend.name}")
    with hidden(catalogue.unused_packages(config.backend.name, config.backend.engine)):
        session = open_session(config.backend.name, setup)
    memory = {"after_imports": memory_bytes()}
    emit(
        "update",
        fields={
            "implementation": session.implementation,
            "device": job.gpu if job.gpu and session.device.startswith("cuda") else session.device,
            "device_name": session.device_name,
        },
        details={
            "train_examples": len(dataset.train.labels),
            "shape": asdict(shape),
            "tf32": config.precision == "tf32",
        }
        | _view_details(config),
    )
    emit("phase", name="data")
    session.put_weights(start)
    _load_splits(session, config, dataset)
    memory |= {"after_data": memory_bytes(), "peak_by_then": peak_memory_bytes()}
    contention = Contention(job.cores)
    earlier: list[bool | None] = []  # whether the attempts that this goes on from were contended
    if config.mode == "stream":
        prove(session, config, setup, start, dataset, emit)
        x = chosen.sequences(config, dataset, "test")
        streaming.stream(session, config, setup.model, x, dataset.test.labels, emit)
    elif config.mode == "throughput":
        counts = len(dataset.train.labels), len(dataset.test.labels)
        step_seconds = throughput.warm_up(session, config, counts[0], emit)
        session.put_weights(start)
        prove(session, config, setup, start, dataset, emit)
        throughput.measure(session, config, setup.model, counts, step_seconds, emit)
    else:
        earlier = _learn(session, job, setup, start, dataset, contention, emit)
    found = contention.found()
    verdicts = [verdict for verdict in (*earlier, found.verdict) if verdict is not None]
    emit(
        "update",
        fields={
            "contended": any(verdicts) if verdicts else None,
            "peak_memory_bytes": peak_memory_bytes(),
            "device_peak_memory_bytes": session.device_peak_memory_bytes(),
        },
        details={**asdict(found), "memory": memory},
    )
    emit("phase", name="roofline")
    emit("note", text="measuring the matrix-multiply peak")
    steps = config.train.truncate or shape.steps
    own = roofline.own_shape(setup.model, batch=config.train.batch_size, steps=steps)
    products = roofline.measure(session, own)
    emit(
        "update",
        fields={
            "kernel": session.kernel,
            "peak_flops_per_second": products.peak,
            "own_shape_flops_per_second": products.at_own_shape,
        },
        details={"matmul_flops_per_second": products.by_name()},
    )
    emit("phase", name="end")
    session.close()


def _learn(
    session: Session,
    job: Job,
    setup: Setup,
    start: Weights,
    dataset: data.Dataset,
    contention: Contention,
    emit: Emit,
) -> list[bool | None]:
    """Warm-up, parity, all epochs or the solution in closed form, evaluation. Returns whether each of the
    earlier attempts that it went on from was contended."""
    config, labels = job.config, dataset.train.labels
    by_gradient = config.train.solver == "gradient"
    step_seconds = training.warm_up(session, config, len(labels), emit) if by_gradient else 0.0
    session.put_weights(start)
    prove(session, config, setup, start, dataset, emit)
    _flow(session, config, setup, dataset, "before", emit)
    earlier: list[bool | None] = []
    if by_gradient:
        earlier = checkpointing.train(session, job, setup.model, dataset, contention, step_seconds, emit)
    else:
        ridge.solve(session, config, labels, dataset.validation.labels, setup.model.classes, emit)
    if config.save_weights:
        emit("phase", name="weights")
        weights.save(job.directory / "weights.safetensors", session.weights(), setup.model)
        emit("update", fields={"weights_path": "weights.safetensors"})
    evaluation.test(session, config, dataset.test.labels, emit)
    _flow(session, config, setup, dataset, "after", emit)
    emit("phase", name="diagnostics")
    some = chosen.sequences(config, dataset, "test", COUNTED)
    counted = diagnostics.counters(session, setup, some)
    if counted:
        emit("update", details={"mean_per_step": counted})
    return earlier


def _flow(
    session: Session, config: Config, setup: Setup, dataset: data.Dataset, when: str, emit: Emit
) -> None:
    """How far gradients flow back on the first batch of the training set, where it is asked for."""
    if config.diagnostics != "gradient_flow":
        return
    emit("phase", name="diagnostics")
    emit("note", text="following gradients")
    size = config.train.batch_size
    x = chosen.sequences(config, dataset, "train", size)
    found = diagnostics.gradient_flow(setup, session.weights(), x, dataset.train.labels[:size])
    emit("update", details={f"gradient_flow_{when}": found})


def open_session(backend: str, setup: Setup) -> Session:
    """A session of a backend; Unavailable, with the install line, where its package is not usable."""
    lacking = f"install it: {catalogue.install_command(catalogue.packages(backend, setup.engine))}"
    try:
        module = catalogue.backend_module(backend)
    except Exception as error:
        if isinstance(error, MemoryError) or out_of_memory.says_so(str(error)):
            raise
        raise Unavailable(f"{backend} cannot be imported here ({_named(error)}); {lacking}") from error
    try:
        return cast(Session, module.open_session(setup))
    except ImportError as error:
        raise Unavailable(f"{backend} cannot start here ({_named(error)}); {lacking}") from error


def _named(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def check_batch(config: Config, dataset: data.Dataset) -> None:
    examples = len(dataset.train.labels)
    if config.train.batch_size > examples:
        raise ConfigError(
            f"train.batch_size={config.train.batch_size}: larger than the training set; "
            f"data={config.data.name} has {examples:,} training sequences here, so at most {examples}"
        )


def _view_details(config: Config) -> dict[str, Any]:
    return {"permutation_sha256": data.permutation_hash()} if config.sequence.name == "permuted" else {}


def initial_weights(config: Config, setup: Setup) -> Weights:
    """Those of the file that `weights` names, else drawn; in the type that the precision holds them in."""
    if config.weights:
        found = weights.load(Path(config.weights), setup.model)
    else:
        found = draw(setup.model, config.seed, config.init)
    return {name: w.astype(held_in(setup.precision)) for name, w in found.items()}


def _load_splits(session: Session, config: Config, dataset: data.Dataset) -> None:
    for split in data.SPLITS:
        session.load(split, chosen.sequences(config, dataset, split), dataset.split(split).labels)


def prove(
    session: Session, config: Config, setup: Setup, start: Weights, dataset: data.Dataset, emit: Emit
) -> None:
    """Parity on the first batch of the training set, or its beginning; raises ParityFailed."""
    emit("phase", name="parity")
    emit("note", text="comparing with the reference")
    size = min(config.train.batch_size, parity.most(setup.model))
    x = chosen.sequences(config, dataset, "train", size)
    found = parity.measure(session, setup, start, x, dataset.train.labels[:size])
    emit(
        "update",
        fields={"parity_loss": found.loss, "parity_gradient": found.gradient},
        details={"parity": asdict(found)},
    )
    parity.hold(found)
