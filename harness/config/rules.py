"""Which combinations have a meaning: what no key of a configuration can say alone about the model."""

from typing import TYPE_CHECKING, Any

from harness.config import catalogue
from harness.config.checks import config_error
from harness.model.cell import cell_spec

if TYPE_CHECKING:
    from harness.config.schema import Config


def check(config: "Config") -> None:
    """Raises ConfigError for a choice that its cell, or another choice, makes meaningless."""
    _cell(config)
    _shards(config)
    _padding(config)
    _dropout(config)
    _truncation(config)
    _ridge(config)
    _mode(config)
    _stream(config)
    _objective(config)


def _cell(config: "Config") -> None:
    choices: dict[str, tuple[str, Any, bool]] = {
        "layers": ("model.layers", config.model.layers, config.model.layers > 1),
        "bidirectional": ("model.bidirectional", config.model.bidirectional, config.model.bidirectional),
        "readout": ("model.readout", config.model.readout, config.model.readout != "last"),
        "initial_state": (
            "model.initial_state",
            config.model.initial_state,
            config.model.initial_state == "learned",
        ),
        "truncate": ("train.truncate", config.train.truncate, config.train.truncate is not None),
        "stream": ("mode", config.mode, config.mode == "stream"),
        "gradient_flow": ("diagnostics", config.diagnostics, config.diagnostics == "gradient_flow"),
    }
    for name, reason in cell_spec(config.cell.name).refuses.items():
        key, value, used = choices[name]
        if used:
            raise config_error(key, value, f"has no meaning for {config.cell.name}: {reason}")


def _shards(config: "Config") -> None:
    shards, backend, threads = config.backend.shards, config.backend.name, config.threads
    if shards == 1:
        return
    devices = catalogue.shard_devices(backend)
    if not devices:
        raise config_error("backend.shards", shards, f"{backend} takes 1 alone")
    if config.device.split(":")[0] not in ("auto", *devices):
        raise config_error(
            "backend.shards", shards, f"on device={config.device} {backend} takes 1 alone, or device=cpu"
        )
    if config.mode == "stream":
        raise config_error("backend.shards", shards, "mode=stream reads no batches to split: 1 alone")
    if threads is not None and shards > threads:
        raise config_error("backend.shards", shards, f"must be 1 … threads={threads}, for a thread each")


def _padding(config: "Config") -> None:
    """PyTorch picks no persistent kernel for several layers or directions."""
    if not config.backend.pad_features:
        return
    implementation = config.backend.implementation
    for fits, reason in (
        (catalogue.pads_features(config.backend.name), f"{config.backend.name} takes false alone"),
        (implementation in ("auto", "fused"), f"implementation={implementation} is no layer of PyTorch's"),
        (config.model.layers == 1, f"is for one layer: needs model.layers=1, not {config.model.layers}"),
        (not config.model.bidirectional, "is for one direction: needs model.bidirectional=false"),
    ):
        if not fits:
            raise config_error("backend.pad_features", True, reason)


def _dropout(config: "Config") -> None:
    if config.model.dropout and config.model.layers == 1:
        raise config_error(
            "model.dropout", config.model.dropout, "is between layers: needs model.layers above 1"
        )


def _truncation(config: "Config") -> None:
    if config.train.truncate is not None and config.model.bidirectional:
        raise config_error(
            "train.truncate",
            config.train.truncate,
            "the backward direction has no state to carry on: needs model.bidirectional=false",
        )


def _ridge(config: "Config") -> None:
    """In closed form there is only the last, linear map to solve for."""
    if config.train.solver != "ridge":
        return
    trained = [param.name for param in cell_spec(config.cell.name).params if param.trained]
    if trained:
        raise config_error(
            "train.solver",
            "ridge",
            f"solves for a linear readout alone, but {config.cell.name} trains {', '.join(trained)} too; "
            "use cell=echo_state, or train.solver=gradient",
        )
    for key, value, needed in (
        ("model.readout", config.model.readout, "last, mean or max"),
        ("model.initial_state", config.model.initial_state, "zeros"),
        ("train.truncate", config.train.truncate, "null"),
        ("train.checkpoint_epochs", config.train.checkpoint_epochs, "null"),
    ):
        if value not in (None, *needed.replace(" or ", ", ").split(", ")):
            raise config_error(key, value, f"train.solver=ridge needs {needed}")


def _mode(config: "Config") -> None:
    """What only a model that was trained through can give."""
    if config.mode == "train":
        return
    for key, value, neutral in (
        ("save_weights", config.save_weights, False),
        ("diagnostics", config.diagnostics, "none"),
        ("train.checkpoint_epochs", config.train.checkpoint_epochs, None),
    ):
        if value != neutral:
            raise config_error(
                key, value, f"is about a model that was trained: needs mode=train, not {config.mode}"
            )
    if config.mode == "throughput" and config.train.solver != "gradient":
        raise config_error(
            "train.solver", config.train.solver, "makes no updates to time: mode=throughput needs gradient"
        )


def _stream(config: "Config") -> None:
    if config.mode != "stream":
        return
    if config.weights is None:
        raise config_error("mode", "stream", "reads what was trained before: needs weights=PATH")
    if config.model.bidirectional:
        raise config_error(
            "mode", "stream", "the backward direction begins at the end: needs model.bidirectional=false"
        )


def _objective(config: "Config") -> None:
    """What a search is after must be something that its runs have."""
    modes = ("train", "throughput") if config.objective == "train_throughput" else ("train",)
    if config.objective is not None and config.mode not in modes:
        raise config_error(
            "objective", config.objective, f"is not measured there: needs mode={' or '.join(modes)}"
        )
    if config.objective == "seconds_to_target" and not config.measure.targets:
        raise config_error("objective", config.objective, "needs a target: measure.targets=[0.95]")
