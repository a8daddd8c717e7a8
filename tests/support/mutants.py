"""Sessions that are wrong in one thing: what a bug of a backend, or of a framework, would make of a run."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from harness.backends.base import Gradients, Session, Setup, Weights
from harness.model.optimizer import OptimizerSpec

Opener = Callable[[Setup], Session]


class Mutant:
    """A session that does what another does, but for what a subclass changes."""

    def __init__(self, open_session: Opener, setup: Setup) -> None:
        self.session = open_session(setup)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.session, name)

    def change_weights(self, weights: Weights) -> None:
        """Puts weights in the place of the present ones, and leaves the optimiser as it is."""
        state = self.session.optimizer_state()
        self.session.put_weights(weights)
        self.session.put_optimizer_state(state)


class TwiceTheRate(Mutant):
    def train(self, batches: np.ndarray, rates: np.ndarray) -> np.ndarray:
        return self.session.train(batches, 2 * rates)


class ConstantRate(Mutant):
    def train(self, batches: np.ndarray, rates: np.ndarray) -> np.ndarray:
        return self.session.train(batches, np.full_like(rates, rates[0]))


class SortedBatches(Mutant):
    def train(self, batches: np.ndarray, rates: np.ndarray) -> np.ndarray:
        return self.session.train(np.sort(batches, axis=None).reshape(batches.shape), rates)


class HalfBatches(Mutant):
    def train(self, batches: np.ndarray, rates: np.ndarray) -> np.ndarray:
        half = batches[:, : batches.shape[1] // 2]
        return self.session.train(np.concatenate([half, half], axis=1), rates)


class WeightDecay(Mutant):
    def train(self, batches: np.ndarray, rates: np.ndarray) -> np.ndarray:
        losses = self.session.train(batches, rates)
        decay = 1 - 1e-2 * rates.sum()
        self.change_weights({name: w * w.dtype.type(decay) for name, w in self.session.weights().items()})
        return losses


class FrozenRecurrence(Mutant):
    def train(self, batches: np.ndarray, rates: np.ndarray) -> np.ndarray:
        before = self.session.weights()
        losses = self.session.train(batches, rates)
        frozen = {name: w for name, w in before.items() if ".W_h" in name}
        self.change_weights({**self.session.weights(), **frozen})
        return losses


class NoGradient(Mutant):
    def gradients(self, x: np.ndarray, y: np.ndarray) -> Gradients:
        loss, gradients = self.session.gradients(x, y)
        name = next(iter(gradients))
        return Gradients(loss, {**gradients, name: np.zeros_like(gradients[name])})


class SwappedGates(Mutant):
    """Takes the weights of two gates for each other, both ways."""

    def put_weights(self, weights: Mapping[str, np.ndarray]) -> None:
        self.session.put_weights(swapped(weights))

    def weights(self) -> Weights:
        return swapped(self.session.weights())


def swapped(weights: Mapping[str, np.ndarray]) -> Weights:
    a, b = "layers.0.forward.W_xr", "layers.0.forward.W_xz"
    return {**weights, a: weights[b], b: weights[a]}


class PixelsDividedTwice(Mutant):
    def load(self, split: str, x: np.ndarray, y: np.ndarray) -> None:
        self.session.load(split, x / np.asarray(255, x.dtype), y)


class ReversedTestImages(Mutant):
    def load(self, split: str, x: np.ndarray, y: np.ndarray) -> None:
        self.session.load(split, x[:, ::-1] if split == "test" else x, y)


class PredictionsOffByOne(Mutant):
    def predict(self, split: str, ranges: Sequence[tuple[int, int]]) -> np.ndarray:
        return np.roll(self.session.predict(split, ranges), 1, axis=0)


class TrainedInBfloat16(Mutant):
    """Only `train` is: another session does it, which gives back what it learnt."""

    def __init__(self, open_session: Opener, setup: Setup) -> None:
        super().__init__(open_session, setup)
        self.low = open_session(replace(setup, precision="bfloat16"))

    def load(self, split: str, x: np.ndarray, y: np.ndarray) -> None:
        self.session.load(split, x, y)
        self.low.load(split, x, y)

    def train(self, batches: np.ndarray, rates: np.ndarray) -> np.ndarray:
        self.low.put_weights(self.session.weights())
        self.low.put_optimizer_state(self.session.optimizer_state())
        losses = self.low.train(batches, rates)
        self.session.put_weights(self.low.weights())
        self.session.put_optimizer_state(self.low.optimizer_state())
        return losses


class SameMasks(Mutant):
    """Every update begins the epoch's dropout anew."""

    def train(self, batches: np.ndarray, rates: np.ndarray) -> np.ndarray:
        losses = []
        for k in range(len(rates)):
            self.session.begin_epoch(0)
            losses.append(self.session.train(batches[k : k + 1], rates[k : k + 1]))
        return np.concatenate(losses)


class NoDropout(Mutant):
    """Trains in a session without dropout."""

    def __init__(self, open_session: Opener, setup: Setup) -> None:
        self.masks = open_session(setup).dropout_masks
        super().__init__(open_session, replace(setup, model=replace(setup.model, dropout=0.0)))

    def dropout_masks(self, epoch: int, batch: int, count: int) -> list[np.ndarray]:
        return self.masks(epoch, batch, count)


@dataclass(frozen=True)
class Mutation:
    """How a session is made wrong: built from another setup, or changed. `overrides` are the configuration
    in which that is wrong."""

    kind: type[Mutant] = Mutant
    setup: Callable[[Setup], Setup] = lambda setup: setup
    overrides: tuple[str, ...] = ()

    def open(self, open_session: Opener, setup: Setup) -> Mutant:
        return self.kind(open_session, self.setup(setup))


def optimizer(**constants: Any) -> Callable[[Setup], Setup]:
    def change(setup: Setup) -> Setup:
        spec: OptimizerSpec = replace(setup.optimizer, **constants)
        return replace(setup, optimizer=spec)

    return change


DROPOUT = ("model.layers=2", "model.dropout=0.2")
MUTATIONS = {
    "beta2": Mutation(setup=optimizer(beta2=0.99)),
    "epsilon": Mutation(setup=optimizer(epsilon=1e-8)),
    "weight decay": Mutation(WeightDecay),
    "recurrent matrix never updated": Mutation(FrozenRecurrence),
    "schedule ignored": Mutation(ConstantRate, overrides=("train.schedule=cosine",)),
    "rate doubled": Mutation(TwiceTheRate),
    "batches sorted": Mutation(SortedBatches),
    "half of each batch dropped": Mutation(HalfBatches),
    "pixels divided twice": Mutation(PixelsDividedTwice),
    "trained in bfloat16": Mutation(TrainedInBfloat16),
    "clip omitted": Mutation(setup=optimizer(clip_norm=None), overrides=("train.clip_norm=0.01",)),
    "clip omitted that never clips": Mutation(
        setup=optimizer(clip_norm=None), overrides=("train.clip_norm=20",)
    ),
    "truncation ignored": Mutation(
        setup=lambda setup: replace(setup, truncate=None), overrides=("train.truncate=4",)
    ),
    "test images reversed": Mutation(ReversedTestImages),
    "predictions off by one row": Mutation(PredictionsOffByOne),
    "swapped gates": Mutation(SwappedGates),
    "a parameter without gradient": Mutation(NoGradient),
    "more is dropped": Mutation(
        setup=lambda setup: replace(setup, model=replace(setup.model, dropout=0.3)), overrides=DROPOUT
    ),
    "the same is dropped in every update": Mutation(SameMasks, overrides=DROPOUT),
    "nothing is dropped": Mutation(NoDropout, overrides=DROPOUT),
}
