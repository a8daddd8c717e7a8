"""`harness.model.optimizer` in PyTorch: its optimisers with our constants, clipping by our definition."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from harness.model.optimizer import OptimizerSpec

TORCH_SLOTS: dict[str, dict[str, str]] = {  # what PyTorch calls the slots of `harness.model.optimizer.SLOTS`
    "sgd": {},
    "momentum": {"v": "momentum_buffer"},
    "adam": {"m": "exp_avg", "v": "exp_avg_sq"},
    "rmsprop": {"v": "square_avg"},
}


class Optimizer:
    """Updates `trained` tensors from their gradients. `partly_trained` has masks for the gradients of
    tensors with redundant numbers, which therefore count in no norm, fill no slot and never change.

    `rate` is the learning rate of the next update: a number to set, or a tensor on the device (float32,
    without dimensions) to fill there, as a captured step needs it.
    """

    def __init__(
        self,
        spec: OptimizerSpec,
        trained: Sequence[torch.Tensor],
        partly_trained: Sequence[tuple[torch.Tensor, torch.Tensor]],
        rate: torch.Tensor | None = None,
    ) -> None:
        self.spec = spec
        self.trained = list(trained)
        self.partly_trained = partly_trained
        self.optimizer = _build(spec, self.trained, rate)
        (self.group,) = self.optimizer.param_groups
        self._make_slots()

    def slots(self) -> list[torch.Tensor]:
        """All that an update changes beside the trained tensors, in the place where it stays."""
        return [slot for state in self.optimizer.state.values() for slot in state.values()]

    def reset(self) -> None:
        """Back to the first step: empty slots, in the same place."""
        for slot in self.slots():
            slot.zero_()

    def named(self) -> dict[str, dict[torch.Tensor, torch.Tensor]]:
        """Slot -> trained tensor -> what the slot holds for it."""
        state, theirs = self.optimizer.state, TORCH_SLOTS[self.spec.name]
        return {slot: {w: state[w][name] for w in self.trained} for slot, name in theirs.items()}

    @torch.no_grad()
    def put(self, slots: Mapping[str, Mapping[torch.Tensor, np.ndarray]], step: int) -> None:
        """Fills the slots, in the same place; `step` updates were made before the next."""
        for slot, tensors in self.named().items():
            for w, tensor in tensors.items():
                tensor.copy_(torch.tensor(slots[slot][w], dtype=tensor.dtype))
        for state in self.optimizer.state.values():
            if "step" in state:
                state["step"].fill_(step)

    def set_rate(self, rate: float) -> None:
        """The learning rate from the next update on, where it is a number."""
        self.group["lr"] = rate

    def clear_gradients(self) -> None:
        """Before a backward pass: its gradients are then stored, not added."""
        for tensor in self.trained:
            tensor.grad = None

    def backward(self, loss: torch.Tensor) -> None:
        """Adds the gradients of a loss to `.grad`."""
        loss.backward()

    def gradients(self, loss: torch.Tensor) -> Sequence[torch.Tensor]:
        """The gradients of a loss by the trained tensors, zeros by what it does not depend on."""
        return torch.autograd.grad(loss, self.trained, allow_unused=True, materialize_grads=True)

    def update(self) -> None:
        """One update with the gradients in `.grad`, without waiting for the device.

        A tensor that the loss does not depend on has a gradient of zeros: its slots still decay.
        """
        for tensor in self.trained:
            if tensor.grad is None:
                tensor.grad = torch.zeros_like(tensor)
        for tensor, mask in self.partly_trained:
            tensor.grad.mul_(mask)
        if self.spec.clip_norm is not None:
            clip([tensor.grad for tensor in self.trained], self.spec.clip_norm)
        self.optimizer.step()

    def _make_slots(self) -> None:
        """PyTorch makes slots in the first update: this is one that changes nothing, at a rate of 0."""
        for tensor in self.trained:
            tensor.grad = torch.zeros_like(tensor)
        self.optimizer.step()
        self.clear_gradients()
        self.reset()


def clip(gradients: Sequence[torch.Tensor], limit: float) -> None:
    """Multiplies every gradient by c / max(n, c) in place: n their global norm, c the limit."""
    n = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
    torch._foreach_mul_(gradients, limit / n.clamp(min=limit))


def _build(
    spec: OptimizerSpec, trained: list[torch.Tensor], rate: torch.Tensor | None
) -> torch.optim.Optimizer:
    lr = 0.0 if rate is None else rate
    on_device = rate is not None  # what PyTorch calls capturable
    match spec.name:
        case "sgd":
            return torch.optim.SGD(trained, lr, fused=True)
        case "momentum":
            return torch.optim.SGD(trained, lr, momentum=spec.momentum, fused=True)
        case "adam":
            betas = (spec.beta1, spec.beta2)
            return torch.optim.Adam(
                trained, lr, betas=betas, eps=spec.epsilon, fused=True, capturable=on_device
            )
        case "rmsprop":
            return torch.optim.RMSprop(
                trained, lr, alpha=spec.rho, eps=spec.epsilon, foreach=True, capturable=on_device
            )
    raise ValueError(f"optimizer={spec.name} is not one of harness.model.optimizer.OPTIMIZERS")
