"""A run in a few words: what it is, and what came of it."""

from harness.config.schema import Config
from harness.store.record import RunRecord


def title_of(config: Config) -> str:
    """What a run is."""
    rows, backend = config.sequence.rows_per_step, config.backend
    return " ".join(
        (
            backend.name,
            *([backend.engine] if backend.engine else []),
            *([backend.implementation] if backend.implementation != "auto" else []),
            *([f"{backend.shards} shards"] if backend.shards > 1 else []),
            *(["padded"] if backend.pad_features else []),
            f"{config.cell.name}-{config.cell.hidden}",
            config.data.name,
            config.reading + (f"×{rows}" if rows > 1 else ""),
            f"batch {config.train.batch_size}" if config.mode == "throughput" else f"seed {config.seed}",
        )
    )


def outcome_line(record: RunRecord, *, reused: bool) -> str:
    """What came of a run, in one line."""
    if not record.ok:
        return f"{record.status}{' already' if reused else ''}: {record.reason}"
    parts = [] if record.test_accuracy is None else [f"accuracy {record.test_accuracy:.4f}"]
    if record.train_throughput is not None:
        parts.append(f"{record.train_throughput:,.0f} sequences/s")
        if record.unsteady:
            parts.append(f"unsteady: {record.train_throughput_best:,.0f} sequences/s in its fastest windows")
        if record.mode == "throughput":
            parts.append(f"{1e6 * record.batch_size / record.train_throughput:,.0f} µs an update")
    if record.step_latency_p50_seconds is not None:
        after = record.details["accuracy_after_step"]
        early = [f"{after[step - 1]:.2f} after {step}" for step in quarters(len(after))]
        parts[0] += f" ({', '.join(early)} steps)"
        parts.append(f"{1e6 * record.step_latency_p50_seconds:,.0f} µs a step")
    parts += [f"gradient distance {record.parity_gradient:.0e}", f"{record.total_seconds:.0f} s"]
    if record.contended:
        parts.append("without the cores to itself: do not trust the timing")
    return ("complete already: " if reused else "ok: ") + ", ".join(parts)


def quarters(steps: int) -> list[int]:
    """A quarter, half and three quarters of the steps, at least the first."""
    return sorted({max(1, steps * k // 4) for k in (1, 2, 3)})
