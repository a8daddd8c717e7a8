"""How long each phase of a run took."""

from harness.measure.clock import seconds


class Phases:
    """Phases that follow one another without a gap; the durations of a repeated phase add up."""

    def __init__(self, first: str) -> None:
        self.seconds_by_phase: dict[str, float] = {}
        self.name, self.began = first, seconds()

    def begin(self, name: str, at: float | None = None) -> None:
        """Ends the current phase and begins another, now or when the clock said `at`."""
        at = seconds() if at is None else max(at, self.began)
        self.seconds_by_phase[self.name] = self.seconds_by_phase.get(self.name, 0.0) + at - self.began
        self.name, self.began = name, at

    def end(self) -> dict[str, float]:
        """Ends the current phase; the seconds of each phase, in the order of their first beginnings."""
        self.begin(self.name)
        return self.seconds_by_phase
