"""The colours and markers of all charts."""

# Okabe and Ito's colours, which people with any kind of colour vision can distinguish, and two of Tol's
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#882255", "#777777")
HEAT = "#0072B2"
# a marker's name in Vega and in matplotlib, and the character that looks most like it
SHAPES = (
    ("circle", "o", "●"),
    ("square", "s", "■"),
    ("triangle-up", "^", "▲"),
    ("diamond", "D", "◆"),
    ("triangle-down", "v", "▼"),
    ("cross", "P", "✚"),
)
REFERENCE_MARKERS = (("diamond", "D", "◆"), ("stroke", "|", "|"))  # of the references of bars


def color_index(k: int) -> int:
    """The index in COLORS of the k-th key."""
    return k % len(COLORS)


def shape_index(k: int) -> int:
    """The index in SHAPES of the k-th key. Colours and shapes together distinguish 24 keys."""
    return k % len(SHAPES)
