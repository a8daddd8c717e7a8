"""The compact letter display: contenders that share a letter cannot be told apart."""

from collections.abc import Iterable, Sequence
from string import ascii_lowercase


def letters(ranked: Sequence[int], apart: Iterable[frozenset[int]]) -> dict[int, str]:
    """The letters of each contender, `a` for those that cannot be told apart from the first.

    `ranked` are the contenders in their order, `apart` the pairs that are told apart. Any two contenders
    share a letter exactly if they are not such a pair. Insert and absorb (Piepho, An Algorithm for a
    Letter-Based Representation of All-Pairwise Comparisons, Journal of Computational and Graphical Statistics
    13, 2004).
    """
    groups = {frozenset(ranked)}
    for pair in apart:
        parts = {group - {one} for group in groups if pair <= group for one in pair}
        parts |= {group for group in groups if not pair <= group}
        groups = {group for group in parts if not any(group < other for other in parts)}
    place = {contender: k for k, contender in enumerate(ranked)}
    ordered = sorted(groups, key=lambda group: sorted(place[contender] for contender in group))
    return {
        contender: "".join(_letter(k) for k, group in enumerate(ordered) if contender in group)
        for contender in ranked
    }


def _letter(k: int) -> str:
    """a, b, …, z, a′, b′, …"""
    return ascii_lowercase[k % 26] + "′" * (k // 26)
