"""Runs as a table: grouped, mean ± standard deviation, and nothing that did not end `ok` left out."""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from difflib import get_close_matches
from typing import Any

import pandas
from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.errors import HarnessError
from harness.record import COLUMNS, DETAIL, RunRecord
from harness.words import one_line

FORMATS = ("md", "csv", "latex", "json")
BY = ("backend", "cell")
METRICS = ("test_accuracy", "train_throughput", "inference_throughput", "parity_gradient")
MODE_METRICS = {  # where all runs are of that mode
    "stream": ("test_accuracy", "step_latency_p50_seconds", "step_latency_p99_seconds", "parity_gradient"),
    "throughput": ("train_throughput", "inference_throughput", "peak_fraction", "parity_gradient"),
}
MAPPINGS = ("seconds_to_target", "epochs_to_target", "steps_to_target")
# configuration that does not change what is averaged
APART = (
    "seed",
    "objective",
    "logger.",
    "save_weights",
    "results.",
    "run.",
    "sweep.",
    "data.root",
    "data.download",
    "data.path",
    "train.checkpoint_epochs",
)
EXACT = ("parity_loss", "parity_gradient")
TIMED = ("throughput", "seconds", "flops", "fraction")  # what others on the same cores spoil
MARK = "†"  # beside such a figure
FORMULA = ("=", "+", "-", "@")  # how a text begins that a spreadsheet would compute
LONGEST = 2000  # characters of a cell


class TableError(HarnessError):
    """A table that cannot be made: an unknown column, no runs, no match."""


def columns(text: str, frame: pandas.DataFrame, *, option: str) -> list[str]:
    """Column names from `a,b`; `seconds_to_target.0.97` names one entry of a mapping."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names or [""]:
        base, _, target = name.partition(".")
        if name not in frame.columns and not (base in MAPPINGS and target):
            raise _no_such(option, name, frame)
    return names


def usual(frame: pandas.DataFrame) -> tuple[str, ...]:
    """The metrics that are shown unless others are asked for: those of the runs' mode."""
    modes = set(frame["mode"])
    return MODE_METRICS.get(modes.pop(), METRICS) if len(modes) == 1 else METRICS


def where(frame: pandas.DataFrame, filters: Sequence[str]) -> pandas.DataFrame:
    """The rows for which every `column=value` (or `column=a,b`) holds, compared as text."""
    for item in filters:
        column, equals, values = item.partition("=")
        if not equals or column not in frame.columns:
            raise _no_such("--where COLUMN=VALUE", item, frame)
        allowed = {value.strip().lower() for value in values.split(",")}
        frame = frame[frame[column].map(lambda value, a=allowed: str(value).lower() in a)]
    return frame


def _no_such(option: str, name: str, frame: pandas.DataFrame) -> TableError:
    known = [column for column in frame.columns if column not in DETAIL]
    close = get_close_matches(name.split("=")[0], known, n=1)
    hint = f"; did you mean {close[0]}?" if close else ""
    return TableError(f"{option}: {name!r} is no column{hint}\nThere are: {', '.join(known)}")


def with_config(frame: pandas.DataFrame) -> pandas.DataFrame:
    """The frame and, beside its columns, every configuration key by its dotted name."""
    flattened = pandas.DataFrame([flat(config) for config in frame["config"]], index=frame.index)
    return frame.join(flattened[[name for name in flattened.columns if name not in frame.columns]])


def build(frame: pandas.DataFrame, by: Sequence[str], metrics: Sequence[str]) -> pandas.DataFrame:
    """One row per group of the `ok` runs: for each metric its mean and standard deviation, and n.

    Columns: the names in `by`, then `<metric>` and `<metric>_sd` for each metric, then `n` and `n_contended`,
    how many of them shared their cores with others. The deviation is the sample's (n - 1), missing for a
    single run.
    """
    good = frame[frame["status"] == "ok"].copy()
    for metric in metrics:
        base, _, target = metric.partition(".")
        values = good[base].map(lambda m, t=target: (m or {}).get(t)) if target else good[base]
        good[metric] = pandas.to_numeric(values, errors="coerce")
        if values.notna().any() and good[metric].isna().all():
            raise TableError(f"--metric: {metric!r} holds no numbers")
    rows = []
    for group, part in good.groupby(list(by), dropna=False, sort=True):
        row = dict(zip(by, group if isinstance(group, tuple) else (group,), strict=True))
        for metric in metrics:
            row[metric], row[f"{metric}_sd"] = part[metric].mean(), part[metric].std()
        rows.append({**row, "n": len(part), "n_contended": int(part["contended"].eq(True).sum())})
    columns = [*by, *(name for m in metrics for name in (m, f"{m}_sd")), "n", "n_contended"]
    return pandas.DataFrame(rows, columns=columns)


def flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """A configuration by dotted keys; a value that is a list becomes text."""
    found: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, dict):
            found |= flat(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = str(value) if isinstance(value, list) else value
    return found


def split(frame: pandas.DataFrame, by: Sequence[str]) -> tuple[pandas.DataFrame, list[str]]:
    """The frame and `by`, both with a column more for whatever else differs between runs of one group.

    A mean is over seeds and nothing else: runs that differ in their configuration, their threads or
    their device never share a row.
    """
    good = frame[frame["status"] == "ok"]
    more = pandas.DataFrame([flat(config) for config in good["config"]], index=good.index)
    more = more[[name for name in more.columns if not name.startswith(APART)]]
    more["data.sha256"] = [str(details.get("data_sha256", ""))[:12] for details in good["details"]]
    more = more.assign(threads=good["threads"], device_name=good["device_name"]).astype(str)
    groups = [good[name].astype(str) for name in by]
    apart: list[str] = []
    for name in more.columns:
        if len(more) and more[name].groupby(groups).nunique().max() > 1:
            apart.append(name)
            groups.append(more[name])
    return frame.assign(**{name: more[name] for name in apart}), [*by, *apart]


def not_ok(frame: pandas.DataFrame, by: Sequence[str]) -> pandas.DataFrame:
    """The runs that did not end `ok`, each with its status and reason."""
    columns = list(dict.fromkeys([*by, "seed", "status", "reason"]))
    return frame[frame["status"] != "ok"][columns]


def number(metric: str, value: float, beside: float | None = None) -> str:
    """A figure in the digits that it deserves; a deviation in those of the mean that it stands beside."""
    if pandas.isna(value):
        return "–"
    if metric in EXACT:
        return f"{value:.1e}"
    if "accuracy" in metric or "fraction" in metric:
        return f"{value:.4f}"
    if abs(value if beside is None else beside) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.4g}"


def cells(table: pandas.DataFrame, by: Sequence[str], metrics: Sequence[str]) -> list[list[str]]:
    """The table's rows as text, `mean ± deviation`, a figure that others may have spoilt with its mark."""
    rows = []
    for _, row in table.iterrows():
        texts = [text(row[name]) for name in by]
        for metric in metrics:
            figure = number(metric, row[metric])
            deviation = row[f"{metric}_sd"]
            if not pandas.isna(deviation):
                figure += f" ± {number(metric, deviation, row[metric])}"
            spoilt = row["n_contended"] and not pandas.isna(row[metric]) and _timed(metric)
            texts.append(figure + f" {MARK}" * bool(spoilt))
        rows.append([*texts, str(row["n"])])
    return rows


def _timed(metric: str) -> bool:
    return any(word in metric for word in TIMED)


def shared(table: pandas.DataFrame, metrics: Sequence[str]) -> str:
    """The note below a table in which figures are marked; "" where none is."""
    found = int(table["n_contended"].sum())
    if not found or not any(_timed(metric) for metric in metrics):
        return ""
    return f"{MARK} Others used the cores of {found} of {table['n'].sum()} runs: do not trust their timing."


def text(value: object) -> str:
    return "–" if value is None or value is pandas.NA or value != value else one_line(str(value), LONGEST)


def render(frame: pandas.DataFrame, by: Sequence[str], metrics: Sequence[str], style: str) -> str:
    """The table and, below it, the runs that did not end `ok`."""
    rest = not_ok(frame, by)
    frame, by = split(frame, by)
    table = build(frame, by, metrics)
    heads = [*by, *metrics, "n"]
    if style == "csv":
        whole = pandas.concat([table.assign(status="ok"), rest], ignore_index=True).map(_no_formula)
        return str(whole.to_csv(index=False)).rstrip("\n")
    if style == "json":
        return json.dumps(
            {
                "rows": json.loads(table.map(_line).to_json(orient="records")),
                "not_ok": json.loads(rest.map(_line).to_json(orient="records")),
            },
            indent=1,
            ensure_ascii=False,
        )
    draw = markdown if style == "md" else latex
    parts: list[str] = []
    if len(table):
        parts.append(draw(heads, cells(table, by, metrics), len(by)))
        if note := shared(table, metrics):
            parts.append(note if style == "md" else _latex(note))
    if len(rest):
        rows = [[text(value) for value in row] for row in rest.itertuples(index=False)]
        parts.append(
            ("Not ok:" if style == "md" else "% not ok:")
            + "\n\n"
            + draw(list(rest.columns), rows, len(rest.columns))
        )
    if style == "md" and len(table):
        parts.append(provenance(frame))
    return "\n\n".join(parts)


def provenance(frame: pandas.DataFrame) -> str:
    """On what and with what the `ok` runs were measured, each said once."""
    good = frame[frame["status"] == "ok"]
    pairs = zip(good["device_name"], good["threads"], strict=True)
    devices = dict.fromkeys(f"{text(name)}, {threads} threads" for name, threads in pairs)
    found: dict[str, set[str]] = {}
    for environment in good["environment"]:
        for name, version in environment.get("versions", {}).items():
            found.setdefault(name, set()).add(version)
        found.setdefault("harness at", set()).add(str(environment.get("git_revision")))
    versions = ", ".join(f"{name} {' and '.join(sorted(each))}" for name, each in found.items())
    return f"Measured on {'; '.join(devices)}. Versions: {versions}."


def _line(value: Any) -> Any:
    return one_line(value, LONGEST) if isinstance(value, str) else value


def _no_formula(value: Any) -> Any:
    """A cell of a CSV file: one line, which no spreadsheet takes for something to compute."""
    line = _line(value)
    return f"'{line}" if isinstance(line, str) and line.startswith(FORMULA) else line


MARKDOWN = str.maketrans({"\\": r"\\", "|": r"\|", "<": r"\<", "\n": " "})  # nothing ends a cell or is HTML


def markdown(heads: Sequence[str], rows: Sequence[Sequence[str]], left: int) -> str:
    """A markdown table, its columns padded; the first `left` columns to the left, the rest to the right."""
    safe = [[cell.translate(MARKDOWN) for cell in row] for row in [heads, *rows]]
    widths = [max(3, *(len(row[k]) for row in safe)) for k in range(len(heads))]

    def line(row: Sequence[str]) -> str:
        padded = [
            cell.ljust(w) if k < left else cell.rjust(w)
            for k, (cell, w) in enumerate(zip(row, widths, strict=True))
        ]
        return "| " + " | ".join(padded) + " |"

    rule = (
        "|" + "|".join("-" * (w + 2) if k < left else "-" * (w + 1) + ":" for k, w in enumerate(widths)) + "|"
    )
    return "\n".join([line(safe[0]), rule, *(line(row) for row in safe[1:])])


LATEX: Mapping[str, str] = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "–": "--",
    "±": r"$\pm$",
    "…": r"\dots{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "[": "{[}",  # at the start of a row it would belong to the \\ before it, and so would a *
    "*": "{*}",
    MARK: r"$\dagger$",
}


def _latex(text: str) -> str:
    return "".join(LATEX.get(c, c) for c in text)


def latex(heads: Sequence[str], rows: Sequence[Sequence[str]], left: int) -> str:
    """A booktabs tabular."""

    def line(row: Sequence[str]) -> str:
        safe = [_latex(part) for part in row]
        return " & ".join(safe) + r" \\"

    body = "\n".join(line(row) for row in rows)
    columns = "l" * left + "r" * (len(heads) - left)
    head = f"\\begin{{tabular}}{{{columns}}}\n\\toprule\n{line(heads)}\n\\midrule"
    return f"{head}\n{body}\n\\bottomrule\n\\end{{tabular}}"


def show(frame: pandas.DataFrame, by: Sequence[str], metrics: Sequence[str], console: Console) -> None:
    """On a terminal a table that fits its width, elsewhere markdown."""
    if not console.is_terminal:
        console.file.write(render(frame, by, metrics, "md") + "\n")
        return
    rest = not_ok(frame, by)
    frame, by = split(frame, by)
    table = build(frame, by, metrics)
    if len(table):
        console.print(_boxed([*by, *metrics, "n"], cells(table, by, metrics), len(by)))
        if note := shared(table, metrics):
            console.print(Text(note))
    if len(rest):
        rows = [[text(value) for value in row] for row in rest.itertuples(index=False)]
        console.print(_boxed(list(rest.columns), rows, len(rest.columns)))


def _boxed(heads: Sequence[str], rows: Sequence[Sequence[str]], left: int) -> Table:
    table = Table()
    for k, head in enumerate(heads):
        whole = k < left and k < len(heads) - 1  # only figures and reasons may be broken over lines
        table.add_column(head, justify="left" if k < left else "right", overflow="fold", no_wrap=whole)
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    return table


def show_runs(records: Sequence[RunRecord]) -> None:
    """The table of a sweep on stdout, by backend and cell."""
    frame = pandas.DataFrame([asdict(record) for record in records], columns=[*COLUMNS, *DETAIL])
    show(frame, BY, usual(frame), Console())
    sys.stdout.flush()
