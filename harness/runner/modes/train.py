"""`mode=train`: warm-up, proof, all epochs or the readout in closed form, evaluation."""

from harness.measure.contention import ContentionMonitor
from harness.runner import checkpointing, diagnostics, evaluation, proof, ridge, training
from harness.runner.context import Context
from harness.runner.protocol import Job, Phase, Update
from harness.store import weights

COUNTER_SEQUENCES = 1000  # test sequences over which a cell's counters are averaged


def run(context: Context, job: Job, contention: ContentionMonitor) -> list[bool | None]:
    """Trains and evaluates. Returns whether each earlier attempt that it went on from was contended.

    Raises Diverged, ParityFailed, and StoreError for a checkpoint or weights that cannot be written.
    """
    config, emit = context.config, context.emit
    by_gradient = config.train.solver == "gradient"
    step_seconds = training.warm_up(context) if by_gradient else 0.0
    proof.restart(context)
    _gradient_flow(context, "before")
    earlier: list[bool | None] = []
    if by_gradient:
        earlier = checkpointing.train(context, job, contention, step_seconds)
    else:
        ridge.solve(context)
    if config.save_weights:
        emit(Phase("weights"))
        weights.save(job.directory / "weights.safetensors", context.session.weights(), context.model)
        emit(Update(columns={"weights_path": "weights.safetensors"}))
    logits = evaluation.test_logits(context)
    proof.prove_predictions(context, logits)
    single = evaluation.test(context, logits)
    proof.prove_latency_predictions(context, single, logits[: len(single)])
    _gradient_flow(context, "after")
    emit(Phase("diagnostics"))
    counts = diagnostics.counters(
        context.session, context.setup, context.sequences("test", slice(COUNTER_SEQUENCES))
    )
    if counts:
        emit(Update(details={"mean_per_step": counts}))
    return earlier


def _gradient_flow(context: Context, when: str) -> None:
    """How far gradients flow back on the first training batch, if the configuration asks for it."""
    if context.config.diagnostics != "gradient_flow":
        return
    context.begin("diagnostics", "following gradients")
    size = context.config.train.batch_size
    x, y = context.sequences("train", slice(size)), context.train_labels[:size]
    norms = diagnostics.gradient_flow(context.setup, context.session.weights(), x, y)
    context.emit(Update(details={f"gradient_flow_{when}": norms}))
