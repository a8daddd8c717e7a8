"""Updates of a scaled loss. Those that are compared with others skip none; a skipped one changes nothing."""

from collections.abc import Callable

import numpy as np

from harness.backends.base import Session, Weights
from harness.backends.optimizer_state import LOSS_SCALE, PREFIX, SKIPPED
from harness.errors import ParityFailed

Work = Callable[[], np.ndarray]  # makes updates; their losses
TOO_LARGE = (2.0**100, np.inf)  # scales: gradients overflow by the first, and in every update by the second


def make_all(session: Session, weights: Weights, work: Work, updates: int) -> tuple[np.ndarray, Weights]:
    """The losses of so many updates from `weights`, and the optimiser's state after them.

    Where the loss scale was too large updates were skipped, as they should be: all are then made again from
    the scale that was found, or from half of one that had grown again. Raises ParityFailed where updates are
    missing, and where some are skipped at a scale of 1: nothing is scaled then.
    """
    session.put_weights(weights)
    begin = session.optimizer_state()
    while True:
        losses, state = work(), session.optimizer_state()
        if int(state["step"]) == updates:
            return losses, state
        _count(state, updates)
        if begin[LOSS_SCALE] <= 1:
            raise ParityFailed(f"updates are skipped at a loss scale of {float(begin[LOSS_SCALE]):g}")
        scale = np.minimum(state[LOSS_SCALE], begin[LOSS_SCALE] / 2)
        begin = {**begin, LOSS_SCALE: np.maximum(scale, np.float32(1))}
        session.put_weights(weights)
        session.put_optimizer_state(begin)


def check_skipping(session: Session, weights: Weights, work: Work, updates: int) -> None:
    """Raises ParityFailed unless updates whose gradients overflow leave weights and slots as they were, are
    counted, and halve the scale. Leaves the session after them."""
    for scale in TOO_LARGE:
        session.put_weights(weights)
        session.put_optimizer_state({**session.optimizer_state(), LOSS_SCALE: np.array(scale)})
        before = {**session.weights(), **session.optimizer_state()}
        work()
        state = session.optimizer_state()
        skipped = _count(state, updates)
        if skipped < updates and np.isfinite(scale):
            continue  # after some, or at once where no gradient gets as far as a layer, the scale was right
        if skipped < updates:
            raise ParityFailed("an update is made although its gradients are not finite")
        after = {**session.weights(), **state}
        changed = [n for n in before if not n.startswith(PREFIX) and not np.array_equal(before[n], after[n])]
        if changed:
            raise ParityFailed(f"an update that is skipped changes {changed[0]}")
        if state[LOSS_SCALE] != scale * 0.5**skipped:
            found = float(state[LOSS_SCALE])
            raise ParityFailed(f"{skipped} skipped updates make a loss scale of {scale:g} one of {found:g}")


def _count(state: Weights, updates: int) -> int:
    """How many updates were skipped; raises ParityFailed where they and those made are not all."""
    made, skipped = int(state["step"]), int(state.get(SKIPPED, 0))
    if made + skipped != updates:
        raise ParityFailed(f"of {updates} updates {made} are made and {skipped} skipped")
    return skipped
