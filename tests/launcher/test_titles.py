"""What is said of a run at its end."""

from dataclasses import replace

from harness.launcher.titles import outcome_line
from tests.support.made import of_windows, timed

STEADY, FALLING = [1000.0] * 30, [1000.0] * 6 + [700.0] * 24


def test_a_run_whose_speed_changed_is_said_to_be_unsteady() -> None:
    known = {"parity_gradient": 1e-7, "total_seconds": 9.0}
    steady, falling = (timed(1, **of_windows(rates), **known) for rates in (STEADY, FALLING))
    said = "700 sequences/s, unsteady: 1,000 sequences/s in its fastest windows, gradient distance"
    assert said in outcome_line(falling, reused=False)
    assert "unsteady" not in outcome_line(steady, reused=False)
    assert "unsteady" not in outcome_line(replace(falling, unsteady=None), reused=False)
