"""What a session's device and threads give for matrix products alone, measured in the run's own process.

Two figures: at the best of several square shapes, and at the shape that the run itself multiplies
(`own_shape`). Both are there and back: (m, k) by (k, n), and the result by the transpose, as the
forward and the backward pass of a step do.
"""

import math
from dataclasses import dataclass
from functools import partial

from harness.backends.base import Session
from harness.measure.clock import timed
from harness.model.network import ModelSpec

SIZES = (512, 1024, 2048, 4096, 8192)  # of squares; none above the first that takes LONG_SECONDS
LONG_SECONDS = 0.01  # there and back
WINDOWS = 5
WINDOW_SECONDS = 0.015
ROWS = 4096  # a product with more rows than this is as fast as one with so many

Shape = tuple[int, int, int]  # m, k, n: a batch (m, k) times weights (k, n)


@dataclass(frozen=True)
class Roofline:
    """FLOP/s by shape, and which of the shapes is the run's own."""

    rates: dict[Shape, float]
    own_shape: Shape

    @property
    def peak(self) -> float:
        return max(self.rates.values())

    @property
    def at_own_shape(self) -> float:
        return self.rates[self.own_shape]

    def by_name(self) -> dict[str, float]:
        """FLOP/s by `m×k×n`."""
        return {"×".join(map(str, shape)): rate for shape, rate in self.rates.items()}

    def better(self, other: "Roofline") -> "Roofline":
        """The better of two measurements of every shape."""
        rates = {
            shape: max(self.rates.get(shape, 0.0), other.rates.get(shape, 0.0))
            for shape in self.rates | other.rates
        }
        return Roofline(rates, self.own_shape)


def own_shape(model: ModelSpec, *, batch: int, steps: int) -> Shape:
    """The product that a run of this model repeats most, for chunks of so many steps.

    Where a cell multiplies its state by matrices, it is that of one step: (B, H) by all of them side by
    side, (B, 128) by (128, 4·128) for an LSTM. Elsewhere it is the top layer's input by its weights,
    which needs no time loop: the rows are those of all steps together, (T·B, I) by (I, G·H), or for
    weights of their own for every step (B, T·I) by (T·I, H).
    """
    shapes = model.cell_shapes(model.layer_features(model.layers - 1))
    matrices = [(param, shapes[param.name]) for param in model.spec.params if len(param.shape) >= 2]
    states = [each for each in matrices if each[0].role in ("recurrent", "symmetric", "reservoir")]
    projected = states or matrices
    looped = bool(states) or all(param.applied == "once" for param, _ in projected)
    rows = batch if looped else batch * steps
    k = math.prod(projected[0][1][:-1])
    return min(rows, ROWS), k, sum(shape[-1] for _, shape in projected)


def measure(session: Session, own_shape: Shape) -> Roofline:
    """FLOP/s at the run's own shape and at squares, which grow until one takes long.

    The own shape comes last: a session keeps the matrices of the last shape, and those are the smaller ones.
    """
    squares: dict[Shape, float] = {}
    for size in SIZES:
        square = (size, size, size)
        squares[square] = _rate(session, square)
        if _flops(square) > squares[square] * LONG_SECONDS:
            break
    return Roofline({own_shape: _rate(session, own_shape), **squares}, own_shape)


def _rate(session: Session, shape: Shape) -> float:
    """FLOP/s of the best of a few windows: a peak is what nothing disturbed.

    The first window is a single repeat, cold; each next one is as long as the best so far allows.
    """
    best, repeats = 0.0, 1
    for _ in range(WINDOWS):
        _, spent = timed(session, partial(session.matmul, *shape, repeats))
        best = max(best, _flops(shape) * repeats / spent)
        repeats = max(1, round(WINDOW_SECONDS * best / _flops(shape)))
    return best


def _flops(shape: Shape) -> int:
    """Of one product there and back."""
    return 4 * math.prod(shape)
