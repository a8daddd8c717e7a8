"""A cell explained: every number on the page against the frameworks' live objects and the drawn weights."""

import math
import os
import re
import subprocess
import sys
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

import harness
from harness.backends.keras import plain_model as plain_keras
from harness.backends.keras.backend import start_engine
from harness.backends.torch import plain_model as plain_torch
from harness.commands.describe import page, storage
from harness.commands.describe.packing import StoredArray, boxes, place, stored_arrays
from harness.commands.describe.parameters import block_groups, starts_as
from harness.model.initializers import SCHEMES, draw
from harness.model.network import ModelSpec
from tests.conftest import ROOT, Shell, environment
from tests.support.described import model_of, said

HOUSE = Path(harness.__file__).parent
CELLS = sorted(path.stem for path in (HOUSE / "cells").glob("*.py") if path.stem != "__init__")
PLAIN = {"torch": plain_torch, "keras": plain_keras}
FRAMEWORKS = tuple(PLAIN)
SVG = "{http://www.w3.org/2000/svg}"


def there(framework: str) -> list[str]:
    folder = HOUSE / "backends" / framework / "cells"
    return sorted(path.stem for path in folder.glob("*.py") if path.stem != "__init__")


@pytest.fixture(autouse=True, scope="module")
def _tensorflow() -> None:
    """Keras starts once in a process, and other tests want it on TensorFlow."""
    start_engine("tensorflow", threads=1)("cpu", threads=1, precision="float64")  # one thread for all


STORED = [(framework, cell) for framework in FRAMEWORKS for cell in there(framework)]
STOCK = [(framework, cell) for framework, cell in STORED if cell in PLAIN[framework].LAYERS]


def part(text: str, title: str) -> str:
    """A section of the page, without its head."""
    _, _, after = text.partition(f"\n{title} ")
    assert after, title
    return re.split(r"\n[A-Z ]{9,} ─", after)[0].partition("\n")[2]


# --- the page ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cell", CELLS)
def test_every_cell_is_explained_in_eighty_columns(cell: str) -> None:
    model = model_of(cell)
    text = said(model)
    assert all(len(line) <= 80 for line in text.splitlines()), text
    assert "…" not in text.replace(" … ", "")  # nothing is cut off
    flat = " ".join(text.split())
    assert model.spec.title in text
    assert " ".join(f"{model.spec.paper}.".split()) in flat
    assert "Variant: " in text
    for line in model.spec.equations.splitlines():
        assert line in text
    table = part(text, "PARAMETERS")
    for name, (param, shape) in model.params().items():
        own = name.removeprefix("layers.0.forward.")
        line = next(line for line in table.splitlines() if line.startswith(f"{own} "))
        assert f" {math.prod(shape):,} " in line
        assert str(shape) in line
        assert param.role in line
        assert ("frozen" in line) != param.trained
    assert f"In all {model.parameters:,} trained numbers" in table
    cost = part(text, "WHAT ONE SEQUENCE COSTS")
    assert f"{model.flops_per_sequence:,} FLOPs" in cost
    by_gradient = all(param.trained for param in model.spec.params)
    assert (f"{model.training_flops_per_sequence():,} FLOPs" in cost) == by_gradient
    assert f"{4 * sum(math.prod(shape) for shape in model.shapes().values()):,} bytes" in cost
    assert f"{4 * sum(model.states().values()):,} bytes" in cost


def test_the_cost_of_training_is_that_of_its_chunks() -> None:
    described = page.select_model(["train.truncate=7"])
    out = StringIO()
    page.show(described, out)
    assert f"{described.model.training_flops_per_sequence(7):,} FLOPs" in part(
        out.getvalue(), "WHAT ONE SEQUENCE COSTS"
    )


def test_the_shapes_on_the_way() -> None:
    model = model_of("lstm", layers=2, bidirectional=True, readout="attention", initial_state="learned")
    way = part(said(model), "SHAPES ON THE WAY OF A BATCH")
    rows = [re.split(r"  +", line.strip()) for line in way.splitlines()]
    shapes = [(row[-2], row[-1]) for row in rows if row[-1].startswith("(")]
    layer = [("(B, T, 4·H)", "(B, 28, 512)"), ("(B, H)", "(B, 128)"), ("(B, H)", "(B, 128)")]
    layer += [("(B, T, H)", "(B, 28, 128)"), ("(B, T, D·H)", "(B, 28, 256)")]
    end = [("(B, T)", "(B, 28)"), ("(B, D·H)", "(B, 256)"), ("(B, C)", "(B, 10)")]
    assert shapes == [("(B, T, I)", "(B, 28, 28)"), *layer, *layer, *end]
    assert way.count("its start is learned") == 4


def test_a_whole_cell_gives_one_output() -> None:
    way = part(said(model_of("mlp")), "SHAPES ON THE WAY OF A BATCH")
    assert "(B, 1, 128)" in way
    assert "state" not in way


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("cell", CELLS)
def test_the_words_for_an_initialiser_are_true(cell: str, scheme: str) -> None:
    model = model_of(cell, readout="last" if "readout" in model_of(cell).spec.refuses else "attention")
    if "initial_state" not in model.spec.refuses:
        model = replace(model, initial_state="learned")
    weights = draw(model, seed=1, scheme=scheme)
    for name, (param, shape) in model.params().items():
        words, w = starts_as(name, param, shape, model, scheme), weights[name]
        if found := re.fullmatch(r"(?:Glorot )?uniform ±(\S+)", words):
            bound = float(found[1])
            assert np.abs(w).max() <= bound * 1.005, (name, words)
            assert np.abs(w).max() >= bound * (0.7 if w.size < 20 else 0.95), (name, words)
            assert w.min() < 0 < w.max()
        elif found := re.fullmatch(r"uniform (\S+) to (\S+)", words):
            low, high = map(float, found.groups())
            assert low <= w.min() < low + 0.05 * (high - low)
            assert high - 0.05 * (high - low) < w.max() <= high
        elif words.startswith("orthogonal"):
            assert np.allclose(w, w.T) == words.endswith("symmetric")
            np.testing.assert_allclose(w @ w.T, np.eye(len(w)), atol=1e-9)
        elif words == "identity":
            np.testing.assert_array_equal(w, np.eye(len(w)))
        elif words == "normal, deviation 0.001":
            assert w.std() == pytest.approx(0.001, rel=0.05)
        elif found := re.fullmatch(r"normal, (\S+) of it connected, spectral radius (\S+)", words):
            assert (w != 0).mean() == pytest.approx(float(found[1]), rel=0.1)
            assert np.abs(np.linalg.eigvals(w)).max() == pytest.approx(float(found[2]))
        else:
            found = re.fullmatch(r"(\d+)(?: \(forget gate\))?", words)
            assert found, words
            assert np.all(w == float(found[1])), (name, words)


def test_the_forget_gate_is_named() -> None:
    assert re.search(r"^b_f .* 1 \(forget gate\)$", said(model_of("lstm")), re.MULTILINE)
    assert "1 (forget gate)" not in said(model_of("lstm"), "torch")


# --- how it is stored ----------------------------------------------------------------------------------


def live(framework: str, model: ModelSpec) -> dict[str, tuple[int, ...]]:
    """Names and shapes of what the framework's own layer holds, made as anyone makes it."""
    activation = model.options.get("activation", "tanh")
    if framework == "torch":
        from torch import nn

        more: dict[str, Any] = {"nonlinearity": activation} if model.cell == "rnn" else {}
        layer = getattr(nn, plain_torch.LAYERS[model.cell])(
            model.features,
            model.hidden,
            num_layers=model.layers,
            bidirectional=model.bidirectional,
            **more,
        )
        return {name: tuple(tensor.shape) for name, tensor in layer.named_parameters()}
    import keras

    more = {"reset_after": False} if model.cell == "gru_reset_before" else {}
    layer = getattr(keras.layers, plain_keras.LAYERS[model.cell])(model.hidden, **more)
    layer.build((None, model.steps, model.features))
    return {
        weight.path.rsplit("/", 1)[-1]: np.shape(array)
        for weight, array in zip(layer.weights, layer.get_weights(), strict=True)
    }


@pytest.mark.parametrize(("framework", "cell"), STOCK)
def test_names_and_shapes_are_those_of_the_live_layer(framework: str, cell: str) -> None:
    model = model_of(cell)
    (group,) = block_groups(model)
    stored = storage.arrays(PLAIN[framework], PLAIN[framework].load_cell(cell), model, group)
    assert {array.name: array.shape for array in stored} == live(framework, model)
    text = part(said(model), f"HOW {'PYTORCH' if framework == 'torch' else 'KERAS'} STORES THEM")
    for array in stored:
        assert re.search(rf"^  {array.name} +{re.escape(str(array.shape))} ", text, re.MULTILINE), text
    assert f"layers.0.forward: {sum(math.prod(s) for s in live(framework, model).values()):,} numbers" in text


@pytest.mark.parametrize("cell", [cell for framework, cell in STOCK if framework == "torch"])
def test_every_layer_and_direction_of_a_stack_in_torch(cell: str) -> None:
    model = model_of(cell, layers=3, bidirectional=True)
    expected = live("torch", model)
    text = part(said(model), "HOW PYTORCH STORES THEM")
    lower, upper = block_groups(model)
    module = plain_torch.load_cell(cell)
    for group in (lower, upper):
        for array in storage.arrays(plain_torch, module, model, group):
            assert expected[array.name] == array.shape
    assert "in _l0, _l0_reverse" in " ".join(text.split())
    assert "in _l1, _l1_reverse, _l2, _l2_reverse" in " ".join(text.split())


@pytest.mark.parametrize(("framework", "cell"), STORED)
def test_every_weight_lies_where_the_page_says(framework: str, cell: str) -> None:
    """Unpacks by the page's own places, not by the cell's `unpack`."""
    model = model_of(cell, hidden=6)
    (group,) = block_groups(model)
    module = PLAIN[framework].load_cell(cell)
    weights = {name: np.random.default_rng(3).normal(size=s) for name, (_, s) in group.params(model).items()}
    packed = module.pack(dict(weights))
    arrays = list(packed.values()) if framework == "torch" else list(packed)
    seen: dict[str, int] = {}
    for stored, array in zip(storage.arrays(PLAIN[framework], module, model, group), arrays, strict=True):
        assert stored.shape == array.shape
        assert sum(array[piece.box].size for piece in stored.pieces) == array.size
        for piece in stored.pieces:
            block = array[piece.box]
            if piece.source is None:
                assert not block.any()
                continue
            w = weights[piece.source]
            seen[piece.source] = seen.get(piece.source, 0) + block.size
            if piece.moved in ("", "transposed"):
                np.testing.assert_array_equal(
                    block.reshape(w.T.shape if piece.moved else w.shape), w.T if piece.moved else w
                )
    assert seen == {name: w.size for name, w in weights.items()}


@pytest.mark.parametrize(("framework", "cell"), STORED)
def test_redundant_is_what_the_harness_never_trains(framework: str, cell: str) -> None:
    model = model_of(cell, hidden=6)
    (group,) = block_groups(model)
    stored = storage.arrays(PLAIN[framework], PLAIN[framework].load_cell(cell), model, group)
    own = sum(math.prod(shape) for _, shape in group.params(model).values())
    assert sum(array.size - array.redundant for array in stored) == own
    assert ("Redundant" in said(model)) == any(
        array.redundant
        for name in FRAMEWORKS
        if cell in there(name)
        for array in storage.arrays(PLAIN[name], PLAIN[name].load_cell(cell), model, group)
    )


def test_gate_orders() -> None:
    text = said(model_of("gru"))
    assert "Gates r, z, n, one below the other:" in part(text, "HOW PYTORCH STORES THEM")
    assert "Gates z, r, n, side by side:" in part(text, "HOW KERAS STORES THEM")


def places(stored: StoredArray) -> list[tuple[str, str | None, str]]:
    return [(place(piece.box, stored.shape), piece.source, piece.moved) for piece in stored.pieces]


def test_looking_finds_what_was_done() -> None:
    params = {"a": (("I", "H"), (2, 3)), "k": (("K", "I", "H"), (4, 2, 3)), "b": (("H",), (3,))}

    def pack(w: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {
            "tall": np.concatenate([w["a"].T, np.zeros((2, 2))]),
            "filter": w["k"][::-1].transpose(2, 1, 0),
            "flat": np.concatenate([w["k"].reshape(8, 3)], axis=0),
            "rows": np.stack([np.zeros(3), w["b"]]),
            "halves": np.concatenate([w["a"][1], w["a"][0]]),
            "less": -w["b"],
        }

    found = {stored.name: places(stored) for stored in stored_arrays(pack, params)}
    assert found == {
        "tall": [("rows 0:3", "a", "transposed"), ("rows 3:5", None, "")],
        "filter": [("", "k", "axes H, I, K, K reversed")],
        "flat": [("", "k", "reshaped")],
        "rows": [("row 0", None, ""), ("row 1", "b", "")],
        "halves": [("", "a", "reshaped, I reversed")],
        "less": [("", "computed from the weights", "")],
    }


def test_boxes_cover_a_mask_and_nothing_else() -> None:
    mask = np.random.default_rng(0).random((5, 6, 4)) < 0.4
    covered = np.zeros(mask.shape, int)
    for box in boxes(mask):
        covered[box] += 1
    np.testing.assert_array_equal(covered, mask)


def test_a_layer_too_large_to_look_through_is_said() -> None:
    text = said(model_of("lstm", hidden=20_000))
    assert "are too many to look where each one goes" in " ".join(text.split())
    assert all(len(line) <= 80 for line in text.splitlines())


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_framework_that_is_missing_is_said_and_the_rest_goes_on(
    framework: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from importlib.util import find_spec

    monkeypatch.setattr(
        "harness.backends.plain_model.find_spec", lambda name: None if name == framework else find_spec(name)
    )
    text = said(model_of("lstm"))
    title = {"torch": "PyTorch", "keras": "Keras"}[framework]
    assert part(text, f"HOW {title.upper()} STORES THEM").strip() == f"{title} is not installed."
    assert text.count("Gates i, f, g, o") == 1
    assert "WHAT ONE SEQUENCE COSTS" in text


# --- the command line ----------------------------------------------------------------------------------


def test_the_command(harness_command: Shell, tmp_path: Path) -> None:
    """And the file that it draws, which stands alone."""
    path = tmp_path / "a picture.svg"
    shape = ("sequence=pixel", "model.layers=2", "cell.hidden=32")
    done = harness_command("describe", "cell=gru", *shape, "--svg", str(path))
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    *lines, last = done.stdout.splitlines()
    assert last == f"Drawn: {path}"
    assert all(len(line) <= 80 and line == line.rstrip() for line in lines)
    assert "(B, 784, 1)" in done.stdout
    assert "nn.GRU(1, 32, num_layers=2)" in done.stdout
    assert "\x1b" not in done.stdout
    document = path.read_text("utf-8")
    assert document.startswith("<?xml")
    assert "href" not in document
    assert ElementTree.fromstring(document).tag == f"{SVG}svg"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["cell=lstmm"], ["lstmm", "gru"]),
        (["cell.hidden=0"], ["cell.hidden=0", "1 to 65,536"]),
        (["cell.hiden=3"], ["hiden"]),
        (["cell=gru,lstm"], ["cell"]),
        (["cell.hidden=["], ["cell.hidden=["]),
        (["colour"], ["colour"]),
        (
            ["cell=gru", "--svg", "nowhere/at/all.svg"],
            ["--svg nowhere/at/all.svg", "nowhere/at is not a directory"],
        ),
        (["cell=gru", "--svg", "harness"], ["--svg harness", "is a directory"]),
    ],
)
def test_a_mistake_is_one_message(harness_command: Shell, arguments: list[str], words: list[str]) -> None:
    done = harness_command("describe", *arguments)
    text = done.stdout + done.stderr
    assert done.returncode == 2, text
    assert done.stdout == ""
    assert "Traceback" not in text
    assert 0 < len(done.stderr.strip().splitlines()) <= 30
    assert all(word in done.stderr for word in words), text


@pytest.mark.long
@pytest.mark.parametrize("columns", [45, 160])
def test_on_a_terminal_it_has_colours_and_fits(columns: int) -> None:
    import pty
    import select
    import struct
    import termios
    from fcntl import ioctl

    ours, theirs = pty.openpty()
    ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    env = {key: value for key, value in environment(TERM="xterm").items() if key != "COLUMNS"}
    command = [sys.executable, "-m", "harness", "describe", "cell=lstm"]
    process = subprocess.Popen(command, cwd=ROOT, env=env, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    text = b""
    while select.select([ours], [], [], 120)[0]:
        try:
            text += os.read(ours, 65536)
        except OSError:  # the other end is closed
            break
    os.close(ours)
    assert process.wait() == 0
    assert b"\x1b[" in text
    plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", text.decode())
    assert all(len(line) <= columns for line in plain.splitlines()), plain
