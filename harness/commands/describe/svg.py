"""SVG: boxes, arrows and texts on a canvas whose frame is fitted around them.

Coordinates are in pixels, y downwards.
"""

import re
from xml.etree import ElementTree

PAPER, INK, FAINT = "#fcfbf8", "#1f2933", "#9aa5b1"
FORWARD, BACKWARD, READOUT, INPUT = "#1d5fa8", "#b4501a", "#2f7d4f", "#52606d"
FILL = {FORWARD: "#e3eefa", BACKWARD: "#fbeadd", READOUT: "#e2f3e8", INPUT: "#eceff2"}
SANS = "Helvetica, Arial, 'DejaVu Sans', sans-serif"
MONO = "Menlo, Consolas, 'DejaVu Sans Mono', monospace"
SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")
NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class Canvas:
    """Shapes and texts, and the frame that holds them all."""

    def __init__(self) -> None:
        self.lines = ElementTree.Element("g", {"fill": "none", "stroke-linecap": "round"})
        self.boxes = ElementTree.Element("g")
        self.texts = ElementTree.Element("g")
        self.left, self.top, self.right, self.bottom = 0.0, 0.0, 0.0, 0.0

    def box(self, x: float, y: float, width: float, height: float, color: str, *, round: float = 9) -> None:
        """A box around its centre."""
        left, top = x - width / 2, y - height / 2
        self._include(left, top)
        self._include(left + width, top + height)
        place = {"x": left, "y": top, "width": width, "height": height, "rx": round}
        style = {"fill": FILL[color], "stroke": color, "stroke-width": "1.6"}
        ElementTree.SubElement(self.boxes, "rect", {k: f"{v:g}" for k, v in place.items()} | style)

    def arrow(
        self, *points: tuple[float, float], color: str, dashed: bool = False, head: bool = True
    ) -> None:
        """A line through points, with a head at its end."""
        path = " ".join(f"{'L' if n else 'M'}{x:g} {y:g}" for n, (x, y) in enumerate(points))
        style = {"d": path, "stroke": color, "stroke-width": "1.6"}
        if dashed:
            style["stroke-dasharray"] = "1.5 5"
        if head:
            style["marker-end"] = f"url(#head{color[1:]})"
        ElementTree.SubElement(self.lines, "path", style)
        for x, y in points:
            self._include(x, y)

    def text(
        self,
        x: float,
        y: float,
        words: str,
        *,
        color: str = INK,
        size: float = 12,
        anchor: str = "middle",
        bold: bool = False,
        mono: bool = False,
    ) -> None:
        """A line of text on the base line y."""
        style = {"x": f"{x:g}", "y": f"{y:g}", "fill": color, "font-size": f"{size:g}", "text-anchor": anchor}
        if bold:
            style["font-weight"] = "bold"
        if mono:
            style["font-family"] = MONO
            style["xml:space"] = "preserve"
        words = NOT_XML.sub("\ufffd", words)
        ElementTree.SubElement(self.texts, "text", style).text = words
        width = text_width(words, size, mono=mono)
        start = x - width * {"start": 0.0, "middle": 0.5, "end": 1.0}[anchor]
        self._include(start, y - size)
        self._include(start + width, y + 0.3 * size)

    def stack(self, x: float, y: float, words: list[str], color: str) -> None:
        """Texts about a line at y, the first above it, the second below, and so on outwards."""
        for k, line in enumerate(words):
            height = y - 6 - 13 * (k // 2) if k % 2 == 0 else y + 15 + 13 * (k // 2)
            self.text(x, height, line, size=11, color=color)

    def document(self, title: str) -> str:
        margin = 28
        x, y = self.left - margin, self.top - margin
        width, height = self.right - x + margin, self.bottom - y + margin
        frame = {"x": f"{x:g}", "y": f"{y:g}", "width": f"{width:g}", "height": f"{height:g}"}
        svg = ElementTree.Element(
            "svg",
            {
                "xmlns": "http://www.w3.org/2000/svg",
                "viewBox": f"{x:g} {y:g} {width:g} {height:g}",
                "width": f"{width:g}",
                "height": f"{height:g}",
                "font-family": SANS,
                "role": "img",
            },
        )
        ElementTree.SubElement(svg, "title").text = NOT_XML.sub("\ufffd", title)
        heads = ElementTree.SubElement(svg, "defs")
        for color in (*FILL, FAINT):
            marker = {"id": f"head{color[1:]}", "viewBox": "0 0 10 10", "refX": "9", "refY": "5"}
            marker |= {"markerWidth": "7", "markerHeight": "7", "orient": "auto"}
            head = ElementTree.SubElement(heads, "marker", marker)
            ElementTree.SubElement(head, "path", {"d": "M0 1 L10 5 L0 9 z", "fill": color})
        ElementTree.SubElement(svg, "rect", frame | {"fill": PAPER})
        svg.extend([self.lines, self.boxes, self.texts])
        ElementTree.indent(svg)
        return ElementTree.tostring(svg, encoding="unicode", xml_declaration=True) + "\n"

    def _include(self, x: float, y: float) -> None:
        self.left, self.right = min(self.left, x), max(self.right, x)
        self.top, self.bottom = min(self.top, y), max(self.bottom, y)


def text_width(words: str, size: float, *, mono: bool = False) -> float:
    """About how wide a text is, in pixels."""
    return len(words) * size * (0.61 if mono else 0.56)


def subscript(number: int) -> str:
    return str(number).translate(SUBSCRIPTS)
