"""What is PyTorch's own here; that it computes the same as every other backend is in test_parity.py."""

import subprocess
import sys
from dataclasses import replace
from importlib import import_module
from types import ModuleType

import numpy as np
import pytest
import torch

from harness.backends.base import Setup
from harness.backends.torch import backend, device, kernel
from harness.backends.torch.cells import gru, lstm
from harness.backends.torch.optimizer import Optimizer, clip
from harness.errors import Unavailable
from harness.model.initializers import draw
from harness.model.optimizer import OptimizerSpec
from tests.support.parity import CELLS, Case, compare, open_session, optimizers, train, worst
from tests.support.torch_sessions import ADAM, session

STOCK = ("rnn", "lstm", "gru")  # the cells with a recurrent layer of PyTorch's own


# Redundant biases


@pytest.mark.parametrize("optimizer", optimizers() + optimizers(None), ids=str)
@pytest.mark.parametrize("cell", STOCK)
def test_redundant_biases_stay_exactly_zero(cell: str, optimizer: OptimizerSpec) -> None:
    case = Case(cell, layers=2, bidirectional=True)
    opened = session(case, optimizer=optimizer)
    train(opened)
    biases = [stored["bias_hh"].detach().numpy() for stored in opened._model.layers.blocks]
    assert len(biases) == 4
    for bias in biases:
        redundant, b_hn = (bias[:-5], bias[-5:]) if cell == "gru" else (bias, None)
        assert not redundant.any()
        assert b_hn is None or b_hn.all()


@pytest.mark.parametrize("cell", STOCK)
def test_a_trained_redundant_bias_is_found_by_the_comparison(cell: str) -> None:
    case, optimizer = Case(cell), replace(ADAM, clip_norm=None)
    _, expected = train(open_session("numpy", case, "loop", optimizer))
    opened = open_session("torch", case, "fused", optimizer)
    tensors = [*opened._model.trained]
    if opened._model.partly_trained:
        opened._model.partly_trained.clear()  # GRU: no mask any more
    else:
        bias = opened._model.layers.blocks[0]["bias_hh"].requires_grad_()
        opened._optimizer = Optimizer(optimizer, [*tensors, bias], [])
    assert worst(train(opened)[1], expected)[0] > 1e-3


# Packing


def swapped(weights: dict[str, np.ndarray], one: str, two: str) -> dict[str, np.ndarray]:
    """The weights with two gates' parameters in each other's place."""
    names = {"W_x" + one: "W_x" + two, "W_h" + one: "W_h" + two, "b_" + one: "b_" + two}
    names |= {b: a for a, b in names.items()}
    return {names.get(name, name): array for name, array in weights.items()}


@pytest.mark.parametrize("implementation", ["fused", "loop"])
@pytest.mark.parametrize("way", ["pack", "unpack"])
@pytest.mark.parametrize(
    ("module", "one", "two"), [(lstm, "i", "f"), (lstm, "g", "o"), (gru, "r", "z"), (gru, "z", "n")]
)
def test_swapping_two_gates_is_found_by_the_comparison(
    monkeypatch: pytest.MonkeyPatch, module: ModuleType, one: str, two: str, way: str, implementation: str
) -> None:
    right = getattr(module, way)
    wrong = {
        "pack": lambda weights: right(swapped(weights, one, two)),
        "unpack": lambda packed: swapped(right(packed), one, two),
    }
    monkeypatch.setattr(module, way, wrong[way])
    case = Case(module.__name__.rpartition(".")[2])
    reference = open_session("numpy", case, "loop", ADAM)
    found = compare(open_session("torch", case, implementation, ADAM), reference, case)
    assert found["gradients"] > 1e-3
    assert way == "unpack" or found["sequence"] > 1e-3


@pytest.mark.parametrize("name", CELLS)
def test_unpack_is_the_inverse_of_pack(name: str) -> None:
    module = import_module(f"harness.backends.torch.cells.{name}")
    weights = {
        key.removeprefix("layers.0.forward."): w
        for key, w in Case(name).weights().items()
        if key.startswith("layers.0.forward.")
    }
    back = module.unpack(module.pack(weights))
    assert back.keys() == weights.keys()
    for key, w in weights.items():
        np.testing.assert_array_equal(back[key], w)


# Training


@pytest.mark.parametrize("implementation", ["fused", "loop"])
def test_two_runs_are_bit_identical(implementation: str) -> None:
    case = Case("lstm", layers=2, bidirectional=True)
    first, second = (train(session(case, implementation)) for _ in range(2))
    np.testing.assert_array_equal(first[0], second[0])
    for name, w in first[1].items():
        assert w.dtype == np.float32
        np.testing.assert_array_equal(second[1][name], w)


@pytest.mark.alone
def test_two_runs_on_two_threads_are_bit_identical() -> None:
    model = replace(Case("lstm").model, features=16, hidden=96)
    x = np.random.default_rng(0).random((128, 7, 16), dtype=np.float32)
    found = []
    for _ in range(2):
        opened = backend.open_session(Setup(model=model, optimizer=ADAM, threads=2))
        opened.put_weights(draw(model, 3, "keras"))
        opened.load("train", x, np.arange(128) % 3)
        found.append((opened.train(np.arange(256).reshape(4, 64) % 128, np.full(4, 0.01)), opened.weights()))
        opened.close()
    (first, weights), (second, again) = found
    np.testing.assert_array_equal(first, second)
    for name, w in weights.items():
        np.testing.assert_array_equal(again[name], w)


@pytest.mark.parametrize("optimizer", optimizers(), ids=lambda spec: spec.name)
def test_training_asks_the_device_for_no_number_before_its_end(optimizer: OptimizerSpec) -> None:
    opened = session(Case("gru"), optimizer=optimizer)
    with kernel._Watch() as watch:
        train(opened)
    assert {"index_select", "addmm"} <= watch.seen
    assert "_local_scalar_dense" not in watch.seen  # what .item() and float() call


@pytest.mark.parametrize("optimizer", optimizers(), ids=lambda spec: spec.name)
def test_put_weights_sets_the_optimiser_back(optimizer: OptimizerSpec) -> None:
    case = Case("lstm")
    opened = session(case, optimizer=optimizer)
    first = train(opened)
    opened.put_weights(case.weights())
    second = train(opened)
    np.testing.assert_array_equal(first[0], second[0])
    for name, w in first[1].items():
        np.testing.assert_array_equal(second[1][name], w)


def test_gradients_and_predictions_leave_training_as_it_is() -> None:
    case = Case("lstm")
    expected = train(session(case))[0]
    opened = session(case)
    batches = np.random.default_rng(13).integers(0, 24, (20, 6))
    rates = 0.01 * np.linspace(1.0, 0.2, 20)
    losses = [opened.train(batches[:10], rates[:10])]
    opened.gradients(*case.data())
    opened.predict("train", [(0, 24)])
    losses.append(opened.train(batches[10:], rates[10:]))
    np.testing.assert_array_equal(np.concatenate(losses), expected)


def test_a_loaded_split_is_a_copy() -> None:
    case = Case("rnn", steps=1)  # one step: the one shape that transposing does not copy by itself
    opened = session(case)
    x, y = case.data()
    x = x.astype(np.float32)
    opened.load("test", x, y)
    before = opened.predict("test", [(0, 24)])
    x[:] = 0
    np.testing.assert_array_equal(opened.predict("test", [(0, 24)]), before)


@pytest.mark.parametrize("implementation", ["fused", "loop"])
def test_any_batch_size_gives_the_same_logits(implementation: str) -> None:
    case = Case("lstm", layers=2, bidirectional=True)
    opened = session(case, implementation, precision="float64")
    whole = opened.predict("train", [(0, 24)])
    assert whole.shape == (24, 3)
    parts = opened.predict("train", [(0, 1), (1, 2), (2, 9), (9, 24)])
    np.testing.assert_allclose(parts, whole, rtol=1e-12)


@pytest.mark.parametrize("limit", [0.5, 1e3])
def test_clipping_by_the_global_norm(limit: float) -> None:
    numbers = np.random.default_rng(0)
    arrays = [numbers.normal(size=shape) for shape in ((3, 4), (5,), (2, 2, 2))]
    gradients = [torch.from_numpy(array.copy()) for array in arrays]
    clip(gradients, limit)
    norm = np.sqrt(sum((array**2).sum() for array in arrays))
    for gradient, array in zip(gradients, arrays, strict=True):
        np.testing.assert_allclose(gradient.numpy(), array * min(1.0, limit / norm), rtol=1e-12)


def test_clipping_starts_as_many_kernels_for_many_tensors_as_for_one() -> None:
    seen = []
    for count in (1, 20):
        with kernel._Watch() as watch:
            clip([torch.ones(3) for _ in range(count)], 1.0)
        seen.append(watch.seen)
    assert {"_foreach_norm", "_foreach_mul_"} <= seen[0] == seen[1]


# What runs, and what does not


@pytest.mark.parametrize(
    ("cell", "implementation", "precision", "expected"),
    [
        ("lstm", "fused", "float32", "oneDNN"),
        ("lstm", "fused", "float64", "ATen"),
        ("gru", "fused", "float32", "ATen"),
        ("rnn", "auto", "float32", "ATen"),
        ("lstm", "loop", "float32", "ATen loop"),
        ("fir", "fused", "float32", "oneDNN"),
        ("fir", "fused", "float64", "ATen"),
        ("mlp", "fused", "float32", "ATen"),
        ("mingru", "scan", "float32", "ATen scan"),
    ],
)
def test_the_kernel_is_the_one_that_ran(
    cell: str, implementation: str, precision: str, expected: str
) -> None:
    if expected == "oneDNN" and not torch.backends.mkldnn.is_available():
        pytest.skip("this build of torch has no oneDNN")
    assert session(Case(cell), implementation, precision=precision).kernel == expected


def test_training_goes_through_onednn_forward_and_backward() -> None:
    if not torch.backends.mkldnn.is_available():
        pytest.skip("this build of torch has no oneDNN")
    opened = session(Case("lstm", layers=2, bidirectional=True))
    with kernel._Watch() as watch:
        train(opened)
    assert {"mkldnn_rnn_layer", "mkldnn_rnn_layer_backward"} <= watch.seen


def test_a_cell_has_what_its_file_has_functions_for() -> None:
    assert backend.implementations("lstm") == ("fused", "loop", "compiled")
    assert backend.implementations("fir") == ("fused", "loop", "compiled")
    assert backend.implementations("mingru") == ("loop", "compiled", "scan")
    assert session(Case("peephole_lstm"), "auto").implementation == "loop"
    with pytest.raises(Unavailable, match="torch has no fused peephole_lstm; it has: loop, compiled"):
        session(Case("peephole_lstm"), "fused")


def test_cells_can_be_told_without_importing_torch() -> None:
    code = (
        "import sys; from harness.backends.torch.backend import implementations; "
        "assert implementations('lstm'); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_cell_that_torch_does_not_have() -> None:
    assert backend.implementations("nosuch") == ()
    setup = Setup(model=replace(Case("rnn").model, cell="nosuch"), optimizer=ADAM)
    with pytest.raises(Unavailable, match="torch has no nosuch"):
        backend.open_session(setup)


def test_devices_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    found = {"cpu": "a processor"}
    monkeypatch.setattr(device, "devices", lambda: found)
    assert device.resolve("auto") == "cpu"
    with pytest.raises(Unavailable, match="device=cuda is not available to torch here; it has: cpu"):
        device.resolve("cuda")
    found |= {"mps": "an Apple GPU"}
    assert device.resolve("auto") == "mps"
    found |= {"cuda:0": "a GPU", "cuda:1": "another"}
    assert [device.resolve(name) for name in ("auto", "cuda", "cuda:1", "cpu")] == [
        "cuda:0",
        "cuda:0",
        "cuda:1",
        "cpu",
    ]
    with pytest.raises(Unavailable, match=r"device=cuda:2 .* cpu, mps, cuda:0, cuda:1"):
        device.resolve("cuda:2")
    with pytest.raises(Unavailable, match=r"precision=float64 .* device=mps"):
        device.dtype("float64", "mps")
    with pytest.raises(Unavailable, match=r"precision=tf32 .* device=cpu; it has: .*bfloat16"):
        device.dtype("tf32", "cpu")
    old, new = ("float32", "float64", "float16"), ("float32", "float64", "tf32", "bfloat16", "float16")
    for capability, expected in (((7, 5), old), ((8, 0), new), ((9, 0), new)):
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda name, found=capability: found)
        assert device.precisions("cuda:0") == expected


def test_settings_and_what_a_session_gives_back() -> None:
    before = torch.get_num_threads()
    opened = session(Case("lstm"), threads=before + 1)
    assert torch.get_num_threads() == before + 1
    assert not torch.backends.cuda.matmul.allow_tf32
    assert not torch.backends.cudnn.allow_tf32
    assert torch.get_float32_matmul_precision() == "highest"
    assert torch.backends.cudnn.deterministic
    assert (opened.device, bool(opened.device_name)) == ("cpu", True)
    assert opened.device_peak_memory_bytes() is None
    opened.matmul(16, 5, 7, 3)
    opened.synchronize()
    opened.close()
    assert torch.get_num_threads() == before


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("implementation", ["fused", "loop"])
@pytest.mark.parametrize("cell", STOCK)
def test_cuda_computes_the_same(cell: str, implementation: str) -> None:
    case = Case(cell, layers=2, bidirectional=True)
    reference = open_session("numpy", case, "loop", ADAM)
    opened = session(case, implementation, device="cuda", precision="float64")
    x, y = case.data()
    opened.load("train", x, y)
    assert opened.kernel == ("cuDNN" if implementation == "fused" else "ATen loop")
    assert max(compare(opened, reference, case).values()) < 1e-9
    losses, weights = train(opened)
    expected_losses, expected_weights = train(reference)
    np.testing.assert_allclose(losses, expected_losses, rtol=1e-9)
    assert worst(weights, expected_weights)[0] < 1e-9
    assert (opened.device_peak_memory_bytes() or 0) > 0
