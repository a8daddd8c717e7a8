"""Recurrences that are linear in the state, h_t = α_t ∘ h_{t-1} + β_t: step by step, or by a parallel scan.

α and β come from the inputs alone (`coefficients` of a cell), so all of them are known before the first
step. The scan composes maps h ↦ α h + β: after ⌈log₂ T⌉ rounds of doubling every step holds the composition
of all maps up to it (Hillis and Steele, Data parallel algorithms, CACM 29(12), 1986).

Going back, with g_t the gradient by h_t:  g_t = dy_t + α_{t+1} ∘ g_{t+1}, the same recurrence from the end;
dα_t = g_t ∘ h_{t-1} and dβ_t = g_t.
"""

from types import ModuleType

import numpy as np

from harness.backends.numpy.direction import BufferShape
from harness.backends.numpy.gates import gates_of
from harness.backends.numpy.parameters import Block, Factors
from harness.model.network import ModelSpec


class LinearRecurrence:
    """See `harness.backends.numpy.direction.Pass`."""

    def __init__(
        self, model: ModelSpec, cell: ModuleType, prefix: str, shape: BufferShape, *, scan: bool
    ) -> None:
        H, (T, B, dtype) = model.hidden, shape
        self.cell, self.prefix = cell, prefix
        self.rows = len(gates_of(cell, model.spec).x) * H
        self.a = np.empty((self.rows, T, B), dtype)
        self.da = np.empty((self.rows, T, B), dtype)
        self.run = scanned if scan else stepped
        self.before = np.empty((H, T, B), dtype)  # h_{t-1} of every step
        self.flow: np.ndarray | None = None
        self.reverse = prefix.endswith(".backward")
        self.last = 0 if self.reverse else T - 1

    def forward(
        self, factors: Factors, x: np.ndarray, y: np.ndarray, start: list[np.ndarray]
    ) -> list[np.ndarray]:
        weights = factors.views.blocks[self.prefix]
        np.matmul(weights.x, x.reshape(len(x), -1), out=self.a.reshape(self.rows, -1))
        self.α, β, self.saved = self.cell.coefficients(self.a)
        way = slice(None, None, -1 if self.reverse else 1)
        y[:, way] = self.run(self.α[:, way], β[:, way], start[0])
        before = self.before[:, way]
        before[:, 0] = start[0]
        before[:, 1:] = y[:, way][:, :-1]
        return [y[:, self.last]]

    def backward(
        self,
        factors: Factors,
        gradients: Block,
        x: np.ndarray,
        dy: np.ndarray,
        dstate: list[np.ndarray],
        dx: np.ndarray | None,
    ) -> None:
        back = slice(None, None, 1 if self.reverse else -1)
        α = self.α[:, back]
        shifted = np.concatenate([np.zeros_like(α[:, :1]), α[:, :-1]], axis=1)
        source = dy[:, back].copy()
        source[:, 0] += dstate[0]
        g = self.run(shifted, source, np.zeros_like(dstate[0]))[:, back]
        dstate[0][...] = (self.α * g)[:, back][:, -1]
        if self.flow is not None:
            self.flow[:] = np.linalg.norm(g, axis=(0, 2))
        self.cell.coefficients_backward(g * self.before, g, self.saved, self.da)
        da = self.da.reshape(self.rows, -1)
        np.matmul(da, x.reshape(len(x), -1).T, out=gradients.x)
        if dx is not None:
            weights = factors.views.blocks[self.prefix]
            dx += (weights.x[:, :-1].T @ da).reshape(dx.shape)


def stepped(α: np.ndarray, β: np.ndarray, h: np.ndarray) -> np.ndarray:
    """All h_t (H, T, B) of h_t = α_t ∘ h_{t-1} + β_t from h (H, B), one after the other."""
    hs = np.empty_like(β)
    for t in range(β.shape[1]):
        h = np.multiply(α[:, t], h, out=hs[:, t])
        h += β[:, t]
    return hs


def scanned(α: np.ndarray, β: np.ndarray, h: np.ndarray) -> np.ndarray:
    """The same, all steps at once in ⌈log₂ T⌉ rounds."""
    α, β = α.copy(), β.copy()
    β[:, 0] += α[:, 0] * h
    distance = 1
    while distance < β.shape[1]:
        β[:, distance:] += α[:, distance:] * β[:, :-distance]
        α[:, distance:] *= α[:, :-distance].copy()
        distance *= 2
    return β
