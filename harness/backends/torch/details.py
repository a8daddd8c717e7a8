"""What a record says of a session beside its kernel."""

from typing import Any

from harness.backends.base import Setup
from harness.backends.torch.loss_scaling import ScaledOptimizer
from harness.backends.torch.optimizer import Optimizer
from harness.backends.torch.padding import padded


def details(setup: Setup, optimizer: Optimizer) -> dict[str, Any]:
    """`padded_features`: how many a layer reads, zeros included; `loss_scale`: the present one and how many
    updates were skipped to find it."""
    found: dict[str, Any] = {}
    if setup.pad_features:
        found["padded_features"] = padded(setup.model.features)
    if isinstance(optimizer, ScaledOptimizer):
        scale, skipped = optimizer.scale.scale.item(), optimizer.scale.skipped_updates.item()
        found["loss_scale"] = {"scale": scale, "skipped_updates": skipped}
    return found
