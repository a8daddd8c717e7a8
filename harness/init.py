"""The only initialisers: NumPy draws every weight once, each from a random stream of its own.

The stream of a parameter is `default_rng([seed, crc32(canonical name)])`, so that adding a layer or a
direction changes no other weight, and every backend starts from the same numbers. Fans are those of
the canonical matrix, one gate at a time.
"""

import math
from zlib import crc32

import numpy as np

from harness.backends.base import Weights
from harness.spec import ModelSpec, Param, Shape

SCHEMES = ("keras", "torch", "irnn")


def stream(seed: int, name: str) -> np.random.Generator:
    """The random stream that belongs to a name, independent of every other name's."""
    return np.random.default_rng([seed, crc32(name.encode())])


def draw(spec: ModelSpec, seed: int, scheme: str = "keras") -> Weights:
    """Initial weights (float64) of a model by canonical name.

    keras   matrices Glorot-uniform (Glorot and Bengio 2010), recurrent matrices orthogonal
            (Saxe et al. 2014), biases 0, the forget gate's 1 (Gers et al. 2000)
    torch   everything uniform within ±1/√H, the readout within ±1/√(D·H)
    irnn    recurrent matrices the identity, input matrices normal with deviation 0.001, biases 0
            (Le, Jaitly, Hinton 2015); the readout as in `keras`
    """
    schemes = {"keras": _keras, "torch": _torch, "irnn": _irnn}
    weights: Weights = {}
    for name, (param, shape) in spec.params().items():
        readout = name.startswith("readout.")
        rule = _keras if readout and scheme == "irnn" else schemes[scheme]
        fan = spec.width if readout else spec.hidden
        weights[name] = rule(stream(seed, name), param, shape, fan)
    return weights


def _keras(rng: np.random.Generator, param: Param, shape: Shape, fan: int) -> np.ndarray:
    if param.role == "bias":
        return np.full(shape, param.initial)
    if param.role == "recurrent":
        return orthogonal(rng, shape[0])
    bound = math.sqrt(6.0 / sum(shape))
    return rng.uniform(-bound, bound, shape)


def _torch(rng: np.random.Generator, param: Param, shape: Shape, fan: int) -> np.ndarray:
    bound = 1.0 / math.sqrt(fan)
    return rng.uniform(-bound, bound, shape)


def _irnn(rng: np.random.Generator, param: Param, shape: Shape, fan: int) -> np.ndarray:
    if param.role == "bias":
        return np.zeros(shape)
    if param.role == "recurrent":
        return np.eye(shape[0])
    return rng.normal(0.0, 0.001, shape)


def orthogonal(rng: np.random.Generator, size: int) -> np.ndarray:
    """A random orthogonal matrix (size, size), uniform over the group: QR of a normal matrix, the signs
    of R's diagonal moved into Q (Mezzadri 2007)."""
    q, r = np.linalg.qr(rng.normal(size=(size, size)))
    return q * np.sign(np.diag(r))
