"""The drawing of a model unrolled over time: all of it inside its frame, texts inside their boxes."""

import re
from dataclasses import replace
from xml.etree import ElementTree

import pytest

from harness.commands.describe import unrolled
from harness.config.catalogue import cell_names
from harness.model.network import ModelSpec
from tests.support.described import model_of, said

CELLS = cell_names()
SVG = "{http://www.w3.org/2000/svg}"


def texts(model: ModelSpec) -> list[str]:
    root = ElementTree.fromstring(unrolled.draw(model))
    return ["".join(text.itertext()) for text in root.iter(f"{SVG}text")]


@pytest.mark.parametrize("cell", CELLS)
def test_every_cell_can_be_drawn(cell: str) -> None:
    model = model_of(cell)
    found = texts(model)
    assert model.spec.title in found
    assert found.count("(B, 28)") == 4  # x₁, x₂, x₃, x₂₈
    assert "x₂₈" in found
    assert "(B, 10)" in found
    for line in model.spec.equations.splitlines():
        assert line in found
    for name, size in model.state_sizes(28).items():
        assert found.count(f"{name} (B, {size})") == 3
        assert f"{name} (B, {size}) = 0" in found


def test_the_shapes_of_a_stack_of_both_directions() -> None:
    model = ModelSpec("lstm", 28, 28, 128, 10, 2, True, "mean", "learned", 0.2)
    found = texts(model)
    assert [found.count(f"layer {n}") for n in (0, 1, 2)] == [2, 2, 0]
    assert found.count("(B, 128)") == 2 * 2 * 4  # one output of each direction and step
    assert found.count("(B, 256)") == 4 + 4 + 1  # into layer 1, into the readout, out of it
    assert found.count("h (B, 128)") == found.count("c (B, 128)") == 2 * 2 * 3
    assert found.count("h (B, 128) learned") == 4
    assert "dropout 0.2" in found
    assert any("over all T = 28 outputs" in text for text in found)


@pytest.mark.parametrize(("steps", "shown"), [(1, 1), (2, 2), (4, 4), (5, 4), (784, 4)])
def test_the_steps_that_are_drawn(steps: int, shown: int) -> None:
    found = texts(ModelSpec("gru", steps, 3, 8, 10))
    assert found.count("(B, 3)") == shown
    assert f"t = {steps}" in found
    assert ("· · ·" in found) == (steps > 4)


@pytest.mark.parametrize(
    "model", [model_of("history_compressor", bidirectional=True), model_of("mlp"), model_of("lstm")]
)
def test_all_lies_within_the_frame(model: ModelSpec) -> None:
    root = ElementTree.fromstring(unrolled.draw(model))
    left, top, width, height = map(float, root.attrib["viewBox"].split())
    for text in root.iter(f"{SVG}text"):
        assert left < float(text.attrib["x"]) < left + width
        assert top < float(text.attrib["y"]) < top + height
    for path in root.iter(f"{SVG}g"):
        for line in path.iter(f"{SVG}path"):
            points = re.findall(r"[ML](\S+) (\S+)", line.attrib["d"])
            assert all(left < float(x) < left + width and top < float(y) < top + height for x, y in points)


@pytest.mark.parametrize("steps", [1, 28])
@pytest.mark.parametrize("cell", ["lstm", "mlp", "recursive"])
def test_no_text_runs_out_of_its_box(cell: str, steps: int) -> None:
    readout = "last" if cell != "lstm" else "attention"
    root = ElementTree.fromstring(unrolled.draw(model_of(cell, steps=steps, readout=readout)))
    rects = [
        {k: float(rect.attrib[k]) for k in ("x", "y", "width", "height")} for rect in root.iter(f"{SVG}rect")
    ]
    for text in root.iter(f"{SVG}text"):
        x, y, size = (float(text.attrib[key]) for key in ("x", "y", "font-size"))
        width = 0.56 * size * len(text.text or "")
        left = x - width * {"start": 0.0, "middle": 0.5, "end": 1.0}[text.attrib["text-anchor"]]
        for rect in rects:
            if (
                rect["x"] <= left + width / 2 <= rect["x"] + rect["width"]
                and rect["y"] <= y <= rect["y"] + rect["height"]
            ):
                assert rect["x"] - 4 <= left, text.text
                assert left + width <= rect["x"] + rect["width"] + 4, text.text


def test_hostile_text_is_text(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = model_of("lstm").spec
    evil = "</title><script>alert('&\"')</script>\x00\x1b[31m[bold]"
    hostile = replace(spec, title=evil, paper=evil, equations=evil)
    monkeypatch.setattr("harness.model.network.cell_spec", lambda name: hostile)
    model = model_of("lstm")
    document = unrolled.draw(model)
    root = ElementTree.fromstring(document)
    assert {child.tag for child in root.iter()} <= {
        f"{SVG}{tag}" for tag in ("svg", "title", "defs", "marker", "path", "rect", "g", "text")
    }
    assert "</title><script>alert('&\"')</script>" in "".join(root.itertext())
    assert "[bold]" in said(model)
