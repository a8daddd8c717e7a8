"""Products of the state by a cell's matrix, whose gradient is one product over many time steps.

    o_t = a_t + h_t Wᵀ                      in every step t
    dW = Σ_t g_tᵀ h_t                       g_t the gradient of o_t

Automatic differentiation multiplies g_tᵀ by h_t in every step and adds the result to the others: T thin
products, and T sums of arrays as large as W. Here the backward pass keeps g_t and h_t, and multiplies those
of PIECE steps at once.

Legend: T time steps, B batch, H columns of a matrix, O its rows.
"""

from typing import Any

import torch
from torch.autograd.function import once_differentiable

from harness.backends.torch.cells import Packed

PIECE = 32  # steps: what is kept of them must not grow with T


def collecting(p: Packed) -> Packed:
    """p whose matrices collect what their gradients are made of, where gradients are recorded."""
    return Collecting(p) if torch.is_grad_enabled() else p


class Collecting(dict[str, torch.Tensor]):
    """A cell's packed weights in one pass over a sequence."""

    def __init__(self, p: Packed) -> None:
        super().__init__(p)
        self.used: dict[str, tuple[torch.Tensor, _Steps]] = {}

    def matrix(self, name: str) -> tuple[torch.Tensor, "_Steps"]:
        """The matrix in the type that autocast multiplies in, and where its steps are collected."""
        if name not in self.used:
            steps, w = _Steps(), self[name]
            if torch.is_autocast_enabled(w.device.type):
                w = w.to(torch.get_autocast_dtype(w.device.type))
            self.used[name] = _Gradient.apply(w, steps), steps
        return self.used[name]


def product(a: torch.Tensor, h: torch.Tensor, p: Packed, name: str) -> torch.Tensor:
    """a + h Wᵀ with W (O, H) of this name in p: a (B, O) or (O,), h (B, H)."""
    if not isinstance(p, Collecting) or not p[name].requires_grad:
        return torch.addmm(a, h, p[name].t())
    w, steps = p.matrix(name)
    if a.dim() == 1:
        a = a.expand(len(h), -1)
    return _Product.apply(a.to(w.dtype), h.to(w.dtype), w, steps)


class _Steps:
    """What the steps so far, of the backward pass, give to the gradient of their matrix."""

    def __init__(self) -> None:
        self.g: list[torch.Tensor] = []  # (B, O) each
        self.h: list[torch.Tensor] = []  # (B, H)
        self.sum: torch.Tensor | None = None  # (O, H) of those before

    def add(self, g: torch.Tensor, h: torch.Tensor) -> None:
        self.g.append(g)
        self.h.append(h)
        if len(self.g) == PIECE:
            self._multiply()

    def take(self) -> torch.Tensor | None:
        """The gradient (O, H), or None where there was no step."""
        if self.g:
            self._multiply()
        found, self.sum = self.sum, None
        return found

    def _multiply(self) -> None:
        g, h = torch.cat(self.g).t(), torch.cat(self.h)
        self.sum = g @ h if self.sum is None else self.sum.addmm_(g, h)
        self.g, self.h = [], []


class _Product(torch.autograd.Function):
    """a + h Wᵀ, which leaves W's part of the backward pass to `_Gradient`."""

    @staticmethod
    def forward(ctx: Any, a: torch.Tensor, h: torch.Tensor, w: torch.Tensor, steps: _Steps) -> torch.Tensor:
        ctx.save_for_backward(h, w)
        ctx.steps = steps
        return torch.addmm(a, h, w.t())

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        h, w = ctx.saved_tensors
        ctx.steps.add(g, h)
        return g, g @ w if ctx.needs_input_grad[1] else None, None, None


class _Gradient(torch.autograd.Function):
    """W itself. Its gradient is what the steps collected: autograd comes here after all of them, since each
    has W for an input, though it gives nothing back for it."""

    @staticmethod
    def forward(ctx: Any, w: torch.Tensor, steps: _Steps) -> torch.Tensor:
        ctx.set_materialize_grads(False)
        ctx.steps = steps
        return w.view_as(w)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: None) -> tuple[torch.Tensor | None, None]:
        return ctx.steps.take(), None
