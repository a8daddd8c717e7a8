"""Models of plain PyTorch and Keras, written the way anyone writes them, with random weights only."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import harness
from harness.backends.base import Setup, Weights
from harness.backends.keras import plain_model as keras_conversions
from harness.backends.numpy.backend import open_session
from harness.backends.torch import plain_model as torch_conversions
from harness.model.initializers import draw
from harness.model.network import ModelSpec
from harness.model.optimizer import OptimizerSpec

HOUSE = Path(harness.__file__).parent
LAYERS = {"torch": torch_conversions.LAYERS, "keras": keras_conversions.LAYERS}


def there(framework: str) -> list[str]:
    """The cells that a framework has a layer for, and whose file lies here."""
    folder = HOUSE / "backends" / framework / "cells"
    return [cell for cell in LAYERS[framework] if (folder / f"{cell}.py").exists()]


def models(framework: str) -> list[Any]:
    found = []
    for cell in there(framework):
        for layers in (1, 3):
            for both in (False, True):
                for activation in ("tanh", "relu") if cell == "rnn" else (None,):
                    options = {"activation": activation} if activation else {}
                    model = ModelSpec(cell, 7, 4, 5, 3, layers, both, options=options)
                    name = f"{cell}{'-relu' * (activation == 'relu')}-{layers}{'-both' * both}"
                    found.append(pytest.param(model, id=name))
    return found


def random(model: ModelSpec) -> Weights:
    """No constant, no zero."""
    rng = np.random.default_rng(5)
    return {name: w + rng.normal(0, 0.3, w.shape) for name, w in draw(model, 3, "keras").items()}


def sequences() -> np.ndarray:
    return np.random.default_rng(2).normal(size=(6, 7, 4))


def reference(model: ModelSpec, weights: Weights) -> np.ndarray:
    """Logits (6, 3) of the NumPy reference in float64."""
    session = open_session(Setup(model, OptimizerSpec(), precision="float64"))
    session.put_weights(weights)
    logits = session.outputs(sequences()).logits
    session.close()
    return logits


def plain_torch(model: ModelSpec, bias: bool = True) -> Any:
    """A classifier with `lstm` and `fc`, as in any tutorial."""
    import torch
    from torch import nn

    torch.manual_seed(0)
    kind = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}[model.cell]
    more = {"nonlinearity": model.options["activation"]} if model.cell == "rnn" else {}

    class Classifier(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lstm = kind(
                model.features,
                model.hidden,
                num_layers=model.layers,
                bidirectional=model.bidirectional,
                batch_first=True,
                bias=bias,
                **more,
            )
            self.fc = nn.Linear(model.width, model.classes, bias=bias)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            _, state = self.lstm(x)
            h = state[0] if isinstance(state, tuple) else state
            return self.fc(torch.cat(list(h[-len(model.directions) :]), dim=1))

    plain = Classifier().double()
    with torch.no_grad():
        for parameter in plain.parameters():
            parameter.normal_(0, 0.4)
    return plain


def torch_logits(plain: Any) -> np.ndarray:
    import torch

    with torch.no_grad():
        return plain(torch.tensor(sequences())).numpy()


def plain_keras(model: ModelSpec, biases: Sequence[bool] | None = None) -> Any:
    """`biases` says of every layer, and of the last one, whether it has any."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(0)
    kind: Callable[..., Any] = {
        "rnn": layers.SimpleRNN,
        "lstm": layers.LSTM,
        "gru": layers.GRU,
        "gru_reset_before": layers.GRU,
    }[model.cell]
    more = {
        "rnn": {"activation": model.options.get("activation")},
        "gru_reset_before": {"reset_after": False},
    }
    biases = biases or [True] * (model.layers + 1)
    parts: list[Any] = [keras.Input((7, model.features), dtype="float64")]
    for layer in range(model.layers):
        keywords = {**more.get(model.cell, {}), "return_sequences": layer < model.layers - 1}
        own = kind(model.hidden, dtype="float64", use_bias=biases[layer], **keywords)
        parts.append(layers.Bidirectional(own, dtype="float64") if model.bidirectional else own)
    plain = keras.Sequential([*parts, layers.Dense(model.classes, dtype="float64", use_bias=biases[-1])])
    rng = np.random.default_rng(9)
    plain.set_weights([rng.normal(0, 0.4, array.shape) for array in plain.get_weights()])
    return plain


def keras_logits(plain: Any) -> np.ndarray:
    from keras import ops

    return np.asarray(ops.convert_to_numpy(plain(sequences())))
