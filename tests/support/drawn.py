"""Runs drawn at random."""

import re


def drawn(text: str) -> list[list[list[str]]]:
    """The tables of a markdown text: rows of cells, the head first."""
    found = []
    for part in re.findall(r"(?:^\|.*\n?)+", text, re.MULTILINE):
        rows = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in part.splitlines()]
        found.append([row for row in rows if not set("".join(row)) <= set("-:")])
    return found
