"""What the seconds of a run went into."""

from harness.measure.clock import seconds


class Phases:
    """Phases that follow one another without a gap; one that comes back adds up."""

    def __init__(self, first: str) -> None:
        self.spent: dict[str, float] = {}
        self.name, self.began = first, seconds()

    def begin(self, name: str, at: float | None = None) -> None:
        """Ends the phase that there was, if it is another; `at` the time of the clock that it did, or now."""
        at = seconds() if at is None else max(at, self.began)
        self.spent[self.name] = self.spent.get(self.name, 0.0) + at - self.began
        self.name, self.began = name, at

    def end(self) -> dict[str, float]:
        """Seconds by phase, in the order in which they first came, up to now."""
        self.begin(self.name)
        return self.spent
