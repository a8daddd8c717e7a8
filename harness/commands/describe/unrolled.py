"""A model unrolled over time, drawn as SVG: steps to the right, layers upwards, a shape on every arrow.

The drawing grows upwards from y = 0 into negative y.
"""

import textwrap
from itertools import pairwise
from pathlib import Path

from harness.commands.describe.svg import (
    BACKWARD,
    FAINT,
    FORWARD,
    INPUT,
    READOUT,
    Canvas,
    subscript,
    text_width,
)
from harness.model.network import ModelSpec
from harness.store import files

PITCH, GAP = 224, 262  # from a time step to the next one, and over those that are left out
BOX, TALL = 86, 58  # a cell
SHIFT = 30  # of the two directions to either side of their step
SIDE = 42  # of a line that passes the other direction's box
LINE = 15  # of text
START = 128  # of the arrow that brings the first state


def write(path: Path, model: ModelSpec) -> None:
    """Draws a model into a file; raises OutputError if it cannot be written."""
    files.write_output(path, draw(model).encode(), "--svg")


def draw(model: ModelSpec) -> str:
    """The drawing as a document of its own."""
    unrolled = Unrolled(model)
    unrolled.draw()
    return unrolled.canvas.document(f"{model.spec.title}, unrolled over time")


class Unrolled:
    """Draws one model, from the inputs up; `y` is where the next thing goes."""

    def __init__(self, model: ModelSpec) -> None:
        self.model = model
        self.spec = model.spec
        self.canvas = Canvas()
        T = model.steps
        self.steps = list(range(1, T + 1)) if T <= 4 else [1, 2, 3, T]
        self.gap = T > 4  # steps are left out before the last one
        self.xs = [PITCH * k for k in range(len(self.steps))]
        if self.gap:
            self.xs[-1] += GAP - PITCH
        self.left = -SHIFT * model.bidirectional - BOX / 2 - START - 24  # where the layers' names end
        self.y = 0.0

    def draw(self) -> None:
        self._inputs()
        if self.spec.single_output:
            self._whole()
        else:
            for layer in range(self.model.layers):
                self._layer(layer)
            self._readout()
        self._logits()
        self._captions()

    def _inputs(self) -> None:
        for x, t in zip(self.xs, self.steps, strict=True):
            self.canvas.box(x, 0, 46, 30, INPUT, round=15)
            self.canvas.text(x, 4.5, f"x{subscript(t)}", size=14)
        self._dots(0)
        self.y = -15

    def _layer(self, layer: int) -> None:
        """Cells of one or two directions, and what goes in and out of them at every step."""
        both = self.model.bidirectional
        features = self.model.layer_features(layer)
        color_in = INPUT if layer == 0 else READOUT if both else FORWARD
        y_in = self.y
        y_split = y_in - 46
        rows = {"forward": y_split - 32 - TALL / 2}
        rows["backward"] = rows["forward"] - TALL - 56
        for x in self.xs:
            self.canvas.text(x + 7, y_in - 22, self._shape(features), anchor="start", size=11, color=color_in)
            top = rows["forward"] + TALL / 2
            if both:
                self.canvas.arrow((x, y_in), (x, y_split), color=color_in, head=False)
                self.canvas.arrow((x, y_split), (x - SIDE, y_split), (x - SIDE, top + 2), color=color_in)
                top = rows["backward"] + TALL / 2
                self.canvas.arrow((x, y_split), (x + SIDE, y_split), (x + SIDE, top + 2), color=color_in)
            else:
                self.canvas.arrow((x, y_in), (x, top + 2), color=color_in)
        for way in self.model.directions:
            self._cells(layer, way, rows[way], features)
        self.y = rows[self.model.directions[-1]] - TALL / 2
        last = layer == self.model.layers - 1
        if both and not (last and self.model.readout == "last"):
            self._beside(rows, dropout=not last)
        elif not both:
            self.tops = [(x, self.y) for x in self.xs]
            if not last and self.model.dropout:
                self._dropout()
        if both and last and self.model.readout == "last":
            self.ends = {way: rows[way] - TALL / 2 for way in self.model.directions}

    def _cells(self, layer: int, way: str, y: float, features: int) -> None:
        """One direction of a layer: a cell for every step and the states from one to the next."""
        forward = way == "forward"
        color = FORWARD if forward else BACKWARD
        shift = (-SHIFT if forward else SHIFT) * self.model.bidirectional
        xs = [x + shift for x in self.xs]
        name = textwrap.wrap(self.spec.name.replace("_", " "), 11)
        for x, t in zip(xs, self.steps, strict=True):
            self.canvas.box(x, y, BOX, TALL, color)
            for k, words in enumerate(name):
                height = y - LINE * (len(name) - 1) / 2 + LINE * k - 3
                self.canvas.text(x, height, words, bold=True, color=color)
            self.canvas.text(x, y + LINE * (len(name) - 1) / 2 + 14, f"t = {t}", size=10.5, color=color)
        sizes = self.model.state_sizes(features)
        carried = [f"{state} {self._shape(size)}" for state, size in sizes.items()]
        learned = self.model.learned_states()
        starts = [
            f"{words} {'learned' if state in learned else '= 0'}"
            for state, words in zip(sizes, carried, strict=True)
        ]
        order = list(range(len(xs))) if forward else list(range(len(xs)))[::-1]
        step = 1 if forward else -1
        aside = SIDE - SHIFT if self.model.bidirectional else 0  # the other direction's lines pass there
        edge = xs[order[0]] - step * BOX / 2
        if sizes:
            self.canvas.arrow((edge - step * START, y), (edge - step * 2, y), color=color)
            self.canvas.stack(edge - step * (START + 8) / 2, y, starts, color)
        for a, b in pairwise(order):
            start, end = xs[a] + step * BOX / 2, xs[b] - step * BOX / 2
            middle = (start + end) / 2 + step * (aside + 6) * self.model.bidirectional
            if self.gap and {a, b} == {len(xs) - 2, len(xs) - 1}:
                centre = (self.xs[a] + self.xs[b]) / 2
                self.canvas.arrow((start, y), (centre - step * 34, y), color=color, head=False)
                self.canvas.arrow(
                    (centre - step * 26, y), (centre + step * 26, y), color=color, dashed=True, head=False
                )
                self.canvas.arrow((centre + step * 34, y), (end - step * 2, y), color=color)
                middle = centre
            else:
                self.canvas.arrow((start, y), (end - step * 2, y), color=color)
            self.canvas.stack(middle, y, carried, color)
        self.canvas.text(self.left, y - 2, f"layer {layer}", anchor="end", size=14, bold=True, color=color)
        self.canvas.text(self.left, y + 14, way, anchor="end", size=11, color=color)

    def _beside(self, rows: dict[str, float], *, dropout: bool) -> None:
        """The outputs of both directions side by side, at every step."""
        H = self._shape(self.model.hidden)
        y = self.y - 56
        for x in self.xs:
            foot = y + 12
            for side, way, color in ((-1, "forward", FORWARD), (1, "backward", BACKWARD)):
                line = x + side * SIDE
                start = (line, rows[way] - TALL / 2)
                self.canvas.arrow(start, (line, foot + 16), (x + side * 16, foot + 2), color=color)
                anchor = "end" if side < 0 else "start"
                self.canvas.text(line + side * 6, foot + 24, H, size=11, anchor=anchor, color=color)
            self.canvas.box(x, y, 104, 24, READOUT, round=12)
            self.canvas.text(x, y + 4, "side by side", size=11, color=READOUT)
        self.y = y - 12
        self.tops = [(x, self.y) for x in self.xs]
        if dropout and self.model.dropout:
            self._dropout()

    def _dropout(self) -> None:
        words = f"dropout {self.model.dropout:g}"
        self.canvas.text(self.left, self.y - 18, words, anchor="end", size=11, color=INPUT)

    def _readout(self) -> None:
        """The bar on top, which makes one vector of the outputs that it reads."""
        model = self.model
        middle = (self.xs[0] + self.xs[-1]) / 2
        foot = self.y - 62
        color = READOUT if model.bidirectional else FORWARD
        if model.readout == "last":
            ways = {"forward": (len(self.xs) - 1, FORWARD, -1), "backward": (0, BACKWARD, 1)}
            for way in model.directions:
                used, color, side = ways[way]
                shift = side * SIDE * model.bidirectional
                top = self.ends[way] if model.bidirectional else self.y
                for k, x in enumerate(self.xs):
                    if k == used:
                        self.canvas.arrow((x + shift, top), (x + shift, foot + 2), color=color)
                        anchor, aside = ("end", -7) if shift < 0 else ("start", 7)
                        words = self._shape(model.hidden)
                        self.canvas.text(
                            x + shift + aside, self.y - 28, words, size=11, anchor=anchor, color=color
                        )
                    else:
                        self.canvas.arrow((x + shift, top), (x + shift, top - 18), color=FAINT)
        else:
            for x, top in self.tops:
                self.canvas.arrow((x, top), (x, foot + 2), color=color)
                self.canvas.text(
                    x + 7, top - 28, self._shape(model.width), size=11, anchor="start", color=color
                )
            self._dots(self.y - 28)
        kind = "one way" if model.readout == "last" and not model.bidirectional else model.readout
        words = BARS[kind].format(T=model.steps)
        width = max(self.xs[-1] - self.xs[0] + 2 * SIDE + 40, text_width(words, 13) + 40)
        self.canvas.box(middle, foot - 20, width, 40, READOUT)
        self.canvas.text(middle, foot - 15, words, size=13, color=READOUT)
        self.y = foot - 40

    def _whole(self) -> None:
        """A cell that turns the whole sequence into one output."""
        lines = self.spec.equations.splitlines()
        height = 52 + LINE * len(lines)
        foot = self.y - 56
        middle = (self.xs[0] + self.xs[-1]) / 2
        for x in self.xs:
            self.canvas.arrow((x, self.y), (x, foot + 2), color=INPUT)
            words = self._shape(self.model.features)
            self.canvas.text(x + 7, self.y - 22, words, size=11, anchor="start", color=INPUT)
        wide = max(text_width(line, 12, mono=True) for line in lines)
        width = max(self.xs[-1] - self.xs[0] + 120, wide + 40)
        self.canvas.box(middle, foot - height / 2, width, height, FORWARD)
        self.canvas.text(
            middle, foot - height + 24, self.spec.name.replace("_", " "), bold=True, color=FORWARD
        )
        for k, line in enumerate(lines):
            y = foot - height + 48 + LINE * k
            self.canvas.text(middle - wide / 2, y, line, anchor="start", mono=True, color=FORWARD)
        self.y = foot - height

    def _logits(self) -> None:
        """From the readout's vector to the logits."""
        model = self.model
        x = (self.xs[0] + self.xs[-1]) / 2
        color = FORWARD if self.spec.single_output else READOUT
        self.canvas.arrow((x, self.y), (x, self.y - 42), color=color)
        self.canvas.text(x + 8, self.y - 20, self._shape(model.width), size=11, anchor="start", color=color)
        y = self.y - 44 - 17
        self.canvas.box(x, y, 250, 34, READOUT)
        words = f"linear: W ({model.width}, {model.classes}), b ({model.classes},)"
        self.canvas.text(x, y + 4.5, words, size=13, color=READOUT)
        self.canvas.arrow((x, y - 17), (x, y - 55), color=READOUT)
        words = self._shape(model.classes)
        self.canvas.text(x + 8, y - 34, words, size=11, anchor="start", color=READOUT)
        self.canvas.text(x, y - 64, "logits", size=14, bold=True, color=READOUT)
        self.y = y - 80

    def _captions(self) -> None:
        """Title above, equations and a legend below."""
        model, spec = self.model, self.spec
        left = self.canvas.left
        ways = "both directions" if model.bidirectional else "forward"
        layers = "1 layer" if model.layers == 1 else f"{model.layers} layers"
        facts = [f"T = {model.steps} steps of {model.features} inputs", f"H = {model.hidden:,}"]
        facts += [] if spec.single_output else [layers, ways]
        facts += [f"{key} = {value}" for key, value in model.options.items()]
        facts += [f"{model.parameters:,} trained numbers"]
        self.canvas.text(left, self.y - 38, spec.title, size=21, bold=True, anchor="start")
        self.canvas.text(left, self.y - 16, " · ".join(facts), anchor="start", color=INPUT)
        y = 56.0
        for line in spec.equations.splitlines() if not spec.single_output else ():
            self.canvas.text(left, y, line, anchor="start", mono=True)
            y += LINE + 2
        legend = "B sequences at once."
        if not spec.single_output:
            legend += " All boxes of a row are one cell: every step has the same weights."
            if model.bidirectional:
                legend += " Backward reads the sequence from its end."
        self.canvas.text(left, y + 10, legend, anchor="start", color=INPUT, size=11.5)
        letters = int((self.canvas.right - left) / 6.4)
        for k, line in enumerate(textwrap.wrap(spec.paper, letters)):
            self.canvas.text(left, y + 26 + 16 * k, line, anchor="start", color=INPUT, size=11.5)

    def _dots(self, y: float) -> None:
        """That steps are left out before the last one."""
        if self.gap:
            self.canvas.text((self.xs[-2] + self.xs[-1]) / 2, y + 4, "· · ·", size=18, color=FAINT)

    def _shape(self, size: int) -> str:
        return f"(B, {size})"


BARS = {
    "one way": "readout last: the output of the last step",
    "last": "readout last: what each direction gave after its own whole pass",
    "mean": "readout mean: over all T = {T} outputs",
    "max": "readout max: the largest of all T = {T} outputs, unit by unit",
    "attention": "readout attention: Σ α_t y_t, α = softmax_t(v · tanh(y_t W + b)), α is (B, {T})",
}
