"""Colours and markers that every drawing shares."""

# Okabe and Ito's colours, which people with any kind of colour vision tell apart, and two of Tol's
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#882255", "#777777")
HEAT = "#0072B2"
# what Vega and matplotlib call a marker, and the character nearest to it
SHAPES = (
    ("circle", "o", "●"),
    ("square", "s", "■"),
    ("triangle-up", "^", "▲"),
    ("diamond", "D", "◆"),
    ("triangle-down", "v", "▼"),
    ("cross", "P", "✚"),
)
AGAINST = (("diamond", "D", "◆"), ("stroke", "|", "|"))  # for what bars are seen against


def color(k: int) -> int:
    """The place in COLORS of the k-th of many."""
    return k % len(COLORS)


def shape(k: int) -> int:
    """The place in SHAPES: colours and shapes together tell 24 apart."""
    return k % len(SHAPES)
