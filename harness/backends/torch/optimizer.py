"""`harness.optim` in PyTorch: its optimisers with our constants, clipping by our definition."""

from collections.abc import Sequence

import torch

from harness.optim import OptimizerSpec


class Optimizer:
    """Updates `trained` tensors from their gradients; `partly` masks the gradients that have redundant
    numbers, which therefore count in no norm, fill no slot and never change."""

    def __init__(
        self,
        spec: OptimizerSpec,
        trained: Sequence[torch.Tensor],
        partly: Sequence[tuple[torch.Tensor, torch.Tensor]],
    ) -> None:
        self.clip_norm = spec.clip_norm
        self.trained = list(trained)
        self.partly = partly
        self.optimizer = _build(spec, self.trained)

    def reset(self) -> None:
        """Back to the first step: no slots."""
        self.optimizer.state.clear()

    def update(self, rate: float) -> None:
        """One update with the gradients in `.grad` at this learning rate, without waiting for the device.

        A tensor that the loss does not depend on has a gradient of zeros: its slots still decay.
        """
        for tensor in self.trained:
            if tensor.grad is None:
                tensor.grad = torch.zeros_like(tensor)
        for tensor, mask in self.partly:
            tensor.grad.mul_(mask)
        if self.clip_norm is not None:
            clip([tensor.grad for tensor in self.trained], self.clip_norm)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()


def clip(gradients: Sequence[torch.Tensor], limit: float) -> None:
    """Multiplies every gradient by c / max(n, c) in place: n their global norm, c the limit."""
    n = torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(g) for g in gradients]))
    factor = limit / n.clamp(min=limit)
    for g in gradients:
        g.mul_(factor)


def _build(spec: OptimizerSpec, trained: list[torch.Tensor]) -> torch.optim.Optimizer:
    match spec.name:
        case "sgd":
            return torch.optim.SGD(trained, lr=0.0, fused=True)
        case "momentum":
            return torch.optim.SGD(trained, lr=0.0, momentum=spec.momentum, fused=True)
        case "adam":
            betas = (spec.beta1, spec.beta2)
            return torch.optim.Adam(trained, lr=0.0, betas=betas, eps=spec.epsilon, fused=True)
        case "rmsprop":
            return torch.optim.RMSprop(trained, lr=0.0, alpha=spec.rho, eps=spec.epsilon, foreach=True)
    raise ValueError(f"optimizer={spec.name} is not one of harness.optim.OPTIMIZERS")
