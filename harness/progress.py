"""How a run is going, for a person: one line on a terminal, plain lines elsewhere. On stderr."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.text import Text

from harness.config import Config
from harness.measure.clock import seconds
from harness.record import RunRecord

PLAIN_SECONDS = 10.0  # between plain lines within an epoch


class Progress:
    """Shows one run at a time. Satisfies `launcher.Display`."""

    def __init__(self, total: int | None = None) -> None:
        self.console = Console(stderr=True, highlight=False, soft_wrap=True, markup=False, emoji=False)
        self.interactive = self.console.is_terminal
        self.total, self.count = total, 0
        self.title = ""
        self.live: Live | None = None
        self.said = 0.0  # when the last plain line was written

    def begin(self, config: Config) -> None:
        self.count += 1
        of = f"[{self.count}/{self.total}] " if self.total else ""
        self.title = of + " ".join(
            (
                config.backend.name,
                f"{config.cell.name}-{config.cell.hidden}",
                config.data.name,
                config.reading + (f"×{rows}" if (rows := config.sequence.rows_per_step) > 1 else ""),
                f"batch {config.train.batch_size}" if config.mode == "throughput" else f"seed {config.seed}",
            )
        )
        if self.interactive:
            self.live = Live(console=self.console, transient=True, auto_refresh=False)
            self.live.start()
        self.said = seconds()
        self.note("starting")

    def note(self, text: str) -> None:
        if self.live:
            self._line(text)
        elif text.startswith(("starting", "waiting")):
            self.console.print(f"{self.title}: {text}")

    def progress(self, event: Mapping[str, Any]) -> None:
        last = event["step"] == event["steps"]
        text = (
            f"epoch {event['epoch']}/{event['epochs']}, step {event['step']}/{event['steps']}, "
            f"loss {event['loss']:.4f}, {event['rate']:,.0f} sequences/s, "
            f"{timedelta(seconds=round(event['left']))} left"
        )
        if self.live:
            self._line(text)
        elif last or seconds() - self.said > PLAIN_SECONDS:
            self.said = seconds()
            self.console.print(f"{self.title}: {text}")

    def end(self, record: RunRecord, *, reused: bool) -> None:
        """The run's result in one line that stays."""
        self.stop()
        self.console.print(f"{self.title}: {summary(record, reused=reused)}")

    def stop(self) -> None:
        if self.live:
            self.live.stop()
            self.live = None

    def _line(self, text: str) -> None:
        """What moves comes first: a narrow terminal cuts the end."""
        assert self.live is not None
        self.live.update(Text(f"{text} | {self.title}", no_wrap=True, overflow="ellipsis"), refresh=True)


def summary(record: RunRecord, *, reused: bool) -> str:
    """What came of a run, in one line."""
    if not record.ok:
        return f"{record.status}: {record.reason}"
    parts = [] if record.test_accuracy is None else [f"accuracy {record.test_accuracy:.4f}"]
    if record.train_throughput is not None:
        parts.append(f"{record.train_throughput:,.0f} sequences/s")
        if record.mode == "throughput":
            parts.append(f"{1e6 * record.batch_size / record.train_throughput:,.0f} µs an update")
    if record.step_latency_p50_seconds is not None:
        after = record.details["accuracy_after_step"]
        early = [f"{after[step - 1]:.2f} after {step}" for step in quarters(len(after))]
        parts[0] += f" ({', '.join(early)} steps)"
        parts.append(f"{1e6 * record.step_latency_p50_seconds:,.0f} µs a step")
    parts += [f"gradient distance {record.parity_gradient:.0e}", f"{record.total_seconds:.0f} s"]
    if record.contended:
        parts.append("others used its cores: timing is not to be trusted")
    return ("complete already: " if reused else "ok: ") + ", ".join(parts)


def quarters(steps: int) -> list[int]:
    """A quarter, half and three quarters of the steps, at least the first."""
    return sorted({max(1, steps * k // 4) for k in (1, 2, 3)})
