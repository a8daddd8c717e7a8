"""The loss and gradients of one batch of the run's own data."""

from dataclasses import dataclass

import numpy as np

from harness.backends.base import Session, Setup, Weights
from harness.backends.numpy.reference import Reference
from harness.data.own_sequences import to_float
from harness.errors import ParityFailed
from harness.runner.parity.distance import LIMITS, ROUNDING_RATIO, distance


@dataclass(frozen=True)
class Parity:
    """Relative distances: |Δloss| / loss, and the largest ‖Δg‖₂ / ‖g‖₂ of any parameter."""

    loss: float
    gradient: float
    worst: str  # the parameter of that largest distance
    limit: float
    gradients: dict[str, float]  # by canonical name
    sequences: int  # over how many

    @property
    def within_limit(self) -> bool:
        """False also for a distance that is no number."""
        return self.gradient <= self.limit and self.loss <= self.limit


def measure(session: Session, setup: Setup, weights: Weights, x: np.ndarray, y: np.ndarray) -> Parity:
    """Distances of the loss and gradients of x (B, T, I), y (B,) at `weights`, which `session` holds."""
    reference = Reference(setup, weights, batch=len(x))
    expected, actual = reference.gradients(x, y), session.gradients(x, y)
    reference.close()
    gradients = {name: distance(actual.gradients[name], g) for name, g in expected.gradients.items()}
    worst = max(gradients, key=lambda name: gradients[name])
    return Parity(
        loss=abs(actual.loss - expected.loss) / max(abs(expected.loss), np.finfo(np.float64).tiny),
        gradient=gradients[worst],
        worst=worst,
        limit=LIMITS[setup.precision],
        gradients=gradients,
        sequences=len(x),
    )


def rounding_cause(
    parity: Parity, session: Session, setup: Setup, weights: Weights, x: np.ndarray, y: np.ndarray
) -> str | None:
    """Why `session` is above its limit on x, where the cause is rounding at the scale of x; otherwise None.

    It is the cause where the session is within its limit on the same batch standardised and, in float32, the
    reference computed in float32 is about as far from float64 on x, or the gradient vanishes there.
    """
    if not measure(session, setup, weights, to_float(x, x, "standard", x.dtype), y).within_limit:
        return None
    cause = f"rounding of the batch's values, {x.min():.4g} to {x.max():.4g}"
    if setup.precision == "float32":
        reference = Reference(setup, weights, batch=len(x))
        single = Reference(setup, weights, batch=len(x), precision="float32")
        vanishes = not reference.gradients(x, y).gradients[parity.worst].any()
        rounded = measure(single, setup, weights, x, y)
        reference.close()
        single.close()
        expected = max(rounded.gradient, rounded.loss)
        if max(parity.gradient, parity.loss) <= ROUNDING_RATIO * expected:
            cause += f": the reference in float32 is {expected:.1e} away itself"
        elif vanishes and parity.loss <= parity.limit:
            cause += f": the gradient of {parity.worst} is 0 there"
        else:
            return None
    return f"{cause}; use data.normalize=standard"


def check_limit(parity: Parity, cause: str | None = None) -> None:
    """Raises ParityFailed where a distance is above its limit, or is no number at all; the message says the
    cause where it is known, otherwise the parameter that is furthest off."""
    if not parity.within_limit:
        raise ParityFailed(
            f"distance from the reference above {parity.limit:g}: loss {parity.loss:.1e}, "
            f"gradient {parity.gradient:.1e} ({cause or parity.worst})"
        )
