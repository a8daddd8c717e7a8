"""Checks that a printed table is complete and harmless, whatever texts it shows."""

import csv
import io
import json
import re


def check_table(text: str, style: str, *, rows: int) -> None:
    """A table of that style with so many rows below its head, each with as many cells as that."""
    if style == "json":
        parsed = json.loads(text)
        assert len(parsed["rows"]) + len(parsed["not_ok"]) == rows
    elif style == "csv":
        read = list(csv.reader(io.StringIO(text)))
        assert len(read) == 1 + rows
        assert {len(row) for row in read} == {len(read[0])}
        assert not any(cell.startswith(("=", "+", "@")) for row in read for cell in row)
        assert len(text.splitlines()) == 1 + rows
    elif style == "md":
        lines = [line for line in text.splitlines() if line.startswith("|")]
        heads = sum(set(line) <= set("|-: ") for line in lines)
        assert len(lines) == 2 * heads + rows
        for line in lines:
            line = line.replace("\\\\", "")
            assert not re.search(r"(?<!\\)<", line)
        for part in re.split(r"\n(?!\|)", text):
            cells = {
                len(re.findall(r"(?<!\\)\|", x.replace("\\\\", "")))
                for x in part.splitlines()
                if x[:1] == "|"
            }
            assert len(cells) <= 1
    elif style == "html":
        assert text.isascii()
        marks = set(re.findall(r"<(?!/)([a-z]+)", text))
        assert marks <= {"table", "caption", "thead", "tbody", "tr", "th", "td", "p", "strong"}
        drawn = [re.findall(r"<t[hd]", line) for line in text.splitlines() if line.startswith("<tr>")]
        assert len(drawn) == text.count("<table>") + rows
    else:
        body = [line for line in text.splitlines() if line.endswith(r"\\")]
        assert len(body) == text.count(r"\toprule") + rows
        assert all(not line.startswith(("[", "*")) for line in body)
