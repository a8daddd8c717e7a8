"""PyTorch sessions on cases of the parity tests."""

from dataclasses import replace

import numpy as np

from harness.backends.base import Setup
from harness.backends.torch import backend
from harness.backends.torch.session import TorchSession
from harness.model.optimizer import OptimizerSpec
from tests.support.parity import Case

ADAM = OptimizerSpec("adam", clip_norm=0.5)


def session(
    case: Case, implementation: str = "fused", optimizer: OptimizerSpec = ADAM, **setup: object
) -> TorchSession:
    chosen = Setup(model=case.model, optimizer=optimizer, implementation=implementation)
    opened = backend.open_session(replace(chosen, **setup))
    assert isinstance(opened, TorchSession)
    opened.put_weights(case.weights())
    x, y = case.data()
    opened.load("train", x.astype(np.float32), y)
    return opened
