"""The product by a cell's matrix: plain autograd's numbers, with few products for the matrix's gradient."""

from collections import Counter
from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from harness.backends.torch import layers, loop
from harness.backends.torch.cells import Packed
from harness.backends.torch.recurrent_product import PIECE, Collecting, collecting, product
from harness.model.optimizer import OptimizerSpec
from tests.support.parity import BATCH, CASES, CELLS, Case, assert_parity, open_session

B, H, G = 3, 4, 8
Product = Callable[[torch.Tensor, torch.Tensor, Packed, str], torch.Tensor]


class Shapes(TorchDispatchMode):
    """The shapes of what matrix products give."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[int, ...]] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        found = func(*args, **(kwargs or {}))
        if func.overloadpacket.__name__ in ("mm", "addmm", "addmm_"):
            self.seen.append(tuple(found.shape))
        return found


def drawn(steps: int) -> dict[str, torch.Tensor]:
    numbers = torch.Generator().manual_seed(0)
    shapes = {"a": (steps, B, G), "bias": (G,), "h": (B, H), "W": (G, H)}
    return {
        name: torch.randn(shape, generator=numbers, dtype=torch.float64).requires_grad_()
        for name, shape in shapes.items()
    }


def loss_of(p: Packed, given: dict[str, torch.Tensor]) -> torch.Tensor:
    """Steps of which each has two products, a bias in one of them; the last one's second product is lost."""
    h, bias = given["h"], given["bias"]
    total, other = torch.zeros((), dtype=h.dtype), torch.zeros(())
    for a in given["a"]:
        o = product(a + other, h, p, "W")
        other = product(bias, h.tanh(), p, "W")
        total = total + (h * o[:, :H]).sum().sin()
        h = (o[:, :H] * o[:, H:].sigmoid()).tanh()
    return total + h.square().sum()


@pytest.fixture
def collected(monkeypatch: pytest.MonkeyPatch) -> None:
    """A loop on the CPU is what it is on CUDA."""
    direction_of = loop.direction_of
    monkeypatch.setattr(layers, "direction_of", lambda *arguments: direction_of(*arguments[:-1], "cuda"))


@pytest.mark.usefixtures("collected")
@pytest.mark.parametrize("case", CASES, ids=str)
def test_every_loop_computes_what_the_reference_computes(case: Case) -> None:
    assert_parity(partial(open_session, "torch", case, "loop"), case, 1e-9)


@pytest.mark.usefixtures("collected")
@pytest.mark.parametrize("cell", CELLS)
def test_no_loop_multiplies_for_a_weights_gradient_in_every_step(cell: str) -> None:
    case = Case(cell)
    session = open_session("torch", case, "loop", OptimizerSpec())
    x, y = (array[:BATCH] for array in case.data())
    with Shapes() as shapes:
        session.gradients(x, y)
    of_weights = [shape for shape in shapes.seen if shape[0] not in (BATCH, BATCH * case.steps)]
    assert all(count <= 3 for count in Counter(of_weights).values())
    session.close()


@pytest.mark.parametrize("steps", [1, 5, PIECE, PIECE // 2 + 1, 2 * PIECE + 3])
def test_gradients_are_those_of_plain_products(steps: int) -> None:
    given = drawn(steps)
    expected, found = (
        torch.autograd.grad(loss_of(p, given), list(given.values()), materialize_grads=True)
        for p in (given, collecting(given))
    )
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)


def test_a_matrixs_gradient_is_one_product_for_many_steps() -> None:
    given = drawn(PIECE + 5)
    p = collecting(given)
    h = given["h"]
    for a in given["a"]:
        h = product(a, h, p, "W")[:, :H].tanh()
    with Shapes() as shapes:
        h.sum().backward()
    assert shapes.seen.count((G, H)) == 2
    assert given["W"].grad is not None


def test_nothing_is_kept_after_the_backward_pass() -> None:
    given = drawn(PIECE + 5)
    p = collecting(given)
    loss_of(p, given).backward()
    assert isinstance(p, Collecting)
    ((_, steps),) = p.used.values()
    assert (steps.g, steps.h, steps.sum) == ([], [], None)


def test_a_second_pass_begins_anew() -> None:
    given = drawn(3)
    for _ in range(2):
        loss_of(collecting(given), given).backward()
    twice = given["W"].grad.clone()
    given["W"].grad = None
    loss_of(given, given).backward()
    torch.testing.assert_close(twice, 2 * given["W"].grad, rtol=1e-12, atol=1e-12)


def test_what_records_no_gradient_is_plain() -> None:
    given = drawn(1)
    with torch.no_grad():
        assert collecting(given) is given
    frozen = collecting({"W": given["W"].detach()})
    o = product(given["a"][0], given["h"], frozen, "W")
    assert isinstance(frozen, Collecting)
    assert not frozen.used
    torch.testing.assert_close(o, given["a"][0] + given["h"] @ given["W"].t())


def test_bfloat16_is_multiplied_as_autocast_multiplies() -> None:
    given = {name: tensor.detach().float().requires_grad_() for name, tensor in drawn(6).items()}
    found = []
    for p in (given, collecting(given)):
        with torch.autocast("cpu", torch.bfloat16):
            o = product(given["a"][0], given["h"], p, "W")
            assert o.dtype == torch.bfloat16
            loss = o.float().square().sum()
        found.append((loss, *torch.autograd.grad(loss, [given["W"], given["h"]])))
    for one, other in zip(*found, strict=True):
        assert one.dtype == torch.float32
        torch.testing.assert_close(one, other, rtol=1e-2, atol=1e-2)  # 2⁻⁷ is a step of bfloat16
