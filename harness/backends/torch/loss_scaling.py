"""Dynamic loss scaling: float16 has no numbers below 6e-8, so gradients are those of the loss times a scale.

Every update divides them by the scale again. Where one of them is infinite or no number, the scale was too
large: the update is skipped, and the scale halved. After GROWTH_INTERVAL updates without that it is doubled
(Micikevicius et al., ICLR 2018). The constants and the arithmetic are those of `torch.amp.GradScaler`, which
reads from the device after every backward pass; here all of it stays there, so an update can be captured.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from harness.backends.base import Weights
from harness.backends.optimizer_state import LOSS_SCALE, PREFIX
from harness.backends.torch.optimizer import Optimizer
from harness.model.optimizer import OptimizerSpec

INITIAL = 2.0**16
GROWTH_INTERVAL = 2000  # updates
GROWTH, BACKOFF = 2.0, 0.5  # what the scale is multiplied by
COUNTERS = ("good_updates", "skipped_updates")


class LossScale:
    """The scale and its counters, each a tensor without dimensions on the device.

    `good_updates` since the scale last changed, `updates` that were made and `skipped_updates` since the
    optimiser's first step; `found` is 1 where the last gradients were not all finite, else 0.
    """

    def __init__(self, device: torch.device) -> None:
        self.scale = torch.full((), INITIAL, device=device)
        self.found = torch.zeros((), device=device)
        self.good_updates = torch.zeros((), dtype=torch.int32, device=device)
        self.updates = torch.zeros((), dtype=torch.int64, device=device)
        self.skipped_updates = torch.zeros((), dtype=torch.int64, device=device)

    def tensors(self) -> list[torch.Tensor]:
        return [self.scale, self.found, self.good_updates, self.updates, self.skipped_updates]

    def unscale(self, gradients: Sequence[torch.Tensor]) -> None:
        """Divides gradients by the scale, in place, and notes whether all are finite."""
        self.found.zero_()
        torch._amp_foreach_non_finite_check_and_unscale_(
            list(gradients), self.found, self.scale.double().reciprocal().float()
        )

    def adapt(self) -> None:
        """The next scale, after an update that was made or skipped."""
        skipped = self.found.long()
        self.skipped_updates += skipped
        self.updates += 1 - skipped
        torch._amp_update_scale_(self.scale, self.good_updates, self.found, GROWTH, BACKOFF, GROWTH_INTERVAL)

    def named(self, state: Weights) -> Weights:
        """An optimiser's state with the updates that were made, and with the scale's own."""
        counters = {f"{PREFIX}{name}": np.array(getattr(self, name).item(), np.int64) for name in COUNTERS}
        scale = np.array(self.scale.item(), np.float32)
        return state | {"step": np.array(self.updates.item(), np.int64), LOSS_SCALE: scale} | counters

    def put(self, state: Mapping[str, np.ndarray]) -> None:
        """Takes what `named` gave; a state of another precision has no scale, and it begins anew."""
        self.scale.fill_(float(state.get(LOSS_SCALE, INITIAL)))
        for name in COUNTERS:
            getattr(self, name).fill_(int(state.get(f"{PREFIX}{name}", 0)))
        self.updates.fill_(int(state["step"]))


class ScaledOptimizer(Optimizer):
    """An optimizer that scales losses, and makes no update where a gradient is not finite."""

    def __init__(
        self,
        spec: OptimizerSpec,
        trained: Sequence[torch.Tensor],
        partly_trained: Sequence[tuple[torch.Tensor, torch.Tensor]],
        rate: torch.Tensor | None = None,
    ) -> None:
        self.scale = LossScale(trained[0].device)
        super().__init__(spec, trained, partly_trained, rate)
        # PyTorch's fused optimisers skip an update by themselves where this is 1
        self.skips_itself = getattr(self.optimizer, "_step_supports_amp_scaling", False)
        if self.skips_itself:
            self.optimizer.found_inf = self.scale.found

    def slots(self) -> list[torch.Tensor]:
        """All that an update changes beside the trained tensors, the scale included."""
        return [*super().slots(), *self.scale.tensors()]

    def reset(self) -> None:
        """Back to the first step and the first scale."""
        super().reset()
        self.scale.scale.fill_(INITIAL)

    def backward(self, loss: torch.Tensor) -> None:
        """Adds the gradients of the scaled loss to `.grad`."""
        (loss * self.scale.scale).backward()

    def gradients(self, loss: torch.Tensor) -> list[torch.Tensor]:
        """The gradients of the loss, at the present scale or the first half, quarter, … of it at which all
        are finite; changes no scale."""
        scale = self.scale.scale.item()
        while True:
            found = torch.autograd.grad(
                loss * scale, self.trained, retain_graph=True, allow_unused=True, materialize_grads=True
            )
            if scale <= 1 or all(bool(g.isfinite().all()) for g in found):
                return [g / scale for g in found]
            scale /= 2

    @torch.no_grad()
    def update(self) -> None:
        """One update with the scaled gradients in `.grad`, or none, without waiting for the device."""
        self.scale.unscale([tensor.grad for tensor in self.trained if tensor.grad is not None])
        changed = [] if self.skips_itself else [*self.trained, *super().slots()]
        before = [tensor.clone() for tensor in changed]
        super().update()
        for tensor, old in zip(changed, before, strict=True):
            tensor.copy_(torch.where(self.scale.found.bool(), old, tensor))
        self.scale.adapt()
