"""Products for the measured peak: as many as are asked for, of numbers like a model's."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from harness.backends.torch import products
from harness.backends.torch.products import MatrixProducts
from tests.support.cuda_graphs import Uncaptured, uncapture

CPU = torch.device("cpu")


class Count(TorchDispatchMode):
    """Counts matrix products."""

    def __init__(self) -> None:
        super().__init__()
        self.products = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        self.products += func.overloadpacket is torch.ops.aten.mm
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("graphs", [False, True])
@pytest.mark.parametrize("repeats", [1, 7, 8, 20, 64])
def test_there_are_as_many_products_as_were_asked_for(
    monkeypatch: pytest.MonkeyPatch, repeats: int, graphs: bool
) -> None:
    monkeypatch.setattr(products, "PER_GRAPH", 8)
    if graphs:
        uncapture(monkeypatch)
    made = MatrixProducts(CPU, torch.float32)
    made.run(6, 5, 7, 8)  # makes operands and graphs
    monkeypatch.setattr(Uncaptured, "replays", 0)
    for _ in range(2):
        with Count() as count:
            made.run(6, 5, 7, repeats)
        assert count.products == 2 * repeats
    assert Uncaptured.replays == (2 * (repeats // 8) if graphs else 0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_operands_are_random_the_same_each_time_and_stay_finite(dtype: torch.dtype) -> None:
    made, again = MatrixProducts(CPU, dtype), MatrixProducts(CPU, dtype)
    for each in (made, again):
        each.run(64, 128, 512, 50)
    x, w, y, back = made.operands
    assert [tuple(each.shape) for each in made.operands] == [(64, 128), (512, 128), (64, 512), (64, 128)]
    torch.testing.assert_close(y, x @ w.t())
    assert bool(back.isfinite().all())
    for one, other in zip(made.operands, again.operands, strict=True):
        assert one.dtype == dtype
        assert torch.equal(one, other)
    for operand in (x, w):
        numbers = operand.flatten().double()
        assert -1 <= numbers.min() < -0.9 < 0.9 < numbers.max() <= 1
        steps = numbers.diff()
        assert abs(float(torch.corrcoef(torch.stack([numbers[:-1], numbers[1:]]))[0, 1])) < 0.05
        assert float(steps.std()) > 0.5  # those of a straight line are all the same


def test_few_large_products_are_not_captured(monkeypatch: pytest.MonkeyPatch) -> None:
    uncapture(monkeypatch)
    made = MatrixProducts(CPU, torch.float32)
    with Count() as count:
        made.run(6, 5, 7, products.PER_GRAPH - 1)
    assert (count.products, Uncaptured.captures) == (2 * (products.PER_GRAPH - 1), 0)


def test_another_shape_has_operands_and_a_graph_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    uncapture(monkeypatch)
    made = MatrixProducts(CPU, torch.float32)
    for n in (7, 9):
        made.run(6, 5, n, products.PER_GRAPH)
        x, w, y, _ = made.operands
        torch.testing.assert_close(y, x @ w.t())
        assert y.shape == (6, n)
    assert (Uncaptured.captures, Uncaptured.replays) == (2, 2)
