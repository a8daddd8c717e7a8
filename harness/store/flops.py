"""A record's columns on arithmetic that follow from others, alike for new records and for stored ones."""

from collections.abc import Mapping
from typing import Any

from harness.model.network import ModelSpec


def columns(values: Mapping[str, Any]) -> dict[str, Any]:
    """FLOPs of a training sequence, FLOP/s in training and its shares of the products measured.

    The shares are None where training was faster than every product: something disturbed those, and the
    best of them is no peak.
    """
    if "training_flops_per_sequence" in values:
        flops = values["training_flops_per_sequence"]
    else:
        flops = _training_flops(values)
    throughput, peak = values.get("train_throughput"), values.get("peak_flops_per_second")
    own_shape = values.get("own_shape_flops_per_second")
    rate = throughput * flops if throughput and flops else None
    fractions = {"peak_fraction": None, "own_shape_fraction": None}
    if rate and peak and rate <= peak:
        fractions = {
            "peak_fraction": rate / peak,
            "own_shape_fraction": rate / own_shape if own_shape else None,
        }
    return {"training_flops_per_sequence": flops, "train_flops_per_second": rate, **fractions}


def _training_flops(values: Mapping[str, Any]) -> int | None:
    """Of a record without that column, from its configuration and its data's shape; None where they are not
    stored or make no model here."""
    config, shape = values.get("config", {}), values.get("details", {}).get("shape")
    try:
        cell, train = dict(config["cell"]), config["train"]
        model = ModelSpec(
            cell.pop("name"), hidden=cell.pop("hidden"), options=cell, **shape, **config["model"]
        )
        return training_flops(model, solver=train["solver"], truncate=train["truncate"])
    except (LookupError, TypeError, ValueError, AttributeError, ImportError):
        return None


def training_flops(model: ModelSpec, *, solver: str, truncate: int | None) -> int | None:
    """FLOPs of one sequence in training by gradient; None for another solver."""
    return model.training_flops_per_sequence(truncate) if solver == "gradient" else None
