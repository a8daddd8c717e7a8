"""A comparison in words, as markdown and as JSON."""

import json
from dataclasses import asdict, dataclass
from typing import Any

from harness.report.compare.verdict import CANNOT_TELL, Comparison, Effect, gate_values
from harness.report.format import figure
from harness.report.metrics import Metric
from harness.report.table.formats.markdown import markdown
from harness.text import one_line

FORMATS = ("md", "json")
OVER = {
    "runs": "a bootstrap over runs and the windows within them",
    "configurations": "a bootstrap over configurations: one of them has a single run",
    "windows": "the windows of one run a side alone",
}
CLOSER = "`python -m harness race` times two configurations in turns, which tells smaller differences."


@dataclass(frozen=True)
class Gate:
    """`--fail-below`: failed only where the whole interval, read as the more the better, lies below."""

    below: float
    estimate: float
    low: float
    high: float
    failed: bool
    sentence: str


def gate(found: Comparison, below: float) -> Gate:
    overall, metric = found.overall, found.metric
    estimate, low, high = gate_values(overall, metric)
    failed = high < below and not overall.why
    unit = metric.unit if not metric.ratio else ""
    what = f"{metric.shown(estimate)} [{metric.shown(low)}, {metric.shown(high)}]{unit}"
    if metric.less:
        what += f" ({'the inverse of the ratio' if metric.ratio else 'with its sign turned'}: less is better)"
    if failed:
        said = f"failed: {what} lies below {below:g}"
    elif overall.why:
        said = f"passed: it cannot be told; {overall.why}"
    else:
        said = f"passed: {what} does not lie below {below:g}"
    return Gate(below, estimate, low, high, failed, f"--fail-below {below:g}: {said}")


def sentence(found: Effect, a: str, b: str, metric: Metric) -> str:
    """`backend=torch is 1.22 times as fast as backend=numpy [1.14, 1.32]: faster`."""
    said = metric.sentence.format(a=a, b=b, figure=metric.in_words(found.estimate))
    return f"{said} {between(found, metric)}: {found.verdict}{f' ({found.why})' if found.why else ''}"


def between(found: Effect, metric: Metric) -> str:
    return f"[{metric.shown(found.low)}, {metric.shown(found.high)}]"


def render(found: Comparison, style: str, held: Gate | None = None) -> str:
    return _json(found, held) if style == "json" else _markdown(found, held)


def _markdown(found: Comparison, held: Gate | None) -> str:
    overall, metric = found.overall, found.metric
    a, b = (one_line(text, 120) for text in (found.a, found.b))
    paragraphs = [f"**Warning:** {said}" for said in found.warnings]
    paragraphs.append(sentence(overall, a, b, metric))
    paragraphs.append(
        f"{metric.name}{', less is better' if metric.less else ''}; 95 % interval of {OVER[overall.over]}; "
        f"{overall.runs[0]} and {overall.runs[1]} runs in {len(found.parts)} "
        f"configuration{'s' * (len(found.parts) != 1)}{', paired by seed' if overall.paired else ''}."
    )
    if len(found.parts) > 1:
        paragraphs += [said for said in (_apart(found), _table(found, a, b)) if said]
    else:
        first, second = (figure(metric.name, value / _scale(metric)) for value in (overall.a, overall.b))
        paragraphs.append(f"{a}: {first}; {b}: {second}.")
    for head, items in (
        ("Left out", found.alone),
        ("They differ too", found.notes),
    ):
        if items:
            paragraphs.append("\n".join([f"{head}:", "", *(f"- {one_line(item)}" for item in items)]))
    if metric.name == "train_throughput" and overall.verdict == CANNOT_TELL:
        paragraphs.append(CLOSER)
    if held:
        paragraphs.append(held.sentence)
    return "\n\n".join(paragraphs)


def _table(found: Comparison, a: str, b: str) -> str:
    metric = found.metric
    kind = "ratio" if metric.ratio else f"difference{f',{metric.unit}' if metric.unit else ''}"
    heads = ["configuration", a, b, kind, "95 % interval", "runs", "verdict"]
    rows = [
        [
            part.label,
            *(figure(metric.name, value / _scale(metric)) for value in (part.a, part.b)),
            metric.shown(part.estimate),
            between(part, metric),
            f"{part.runs[0]}, {part.runs[1]}",
            part.verdict,
        ]
        for part in found.parts
    ]
    return markdown(heads, rows, 1)


def _apart(found: Comparison) -> str:
    """That configurations contradict one another, where they do."""
    each = {
        word: sum(p.verdict == word for p in found.parts)
        for word in (found.metric.better, found.metric.worse)
    }
    if not all(each.values()):
        return ""
    unclear = sum(part.verdict == CANNOT_TELL for part in found.parts)
    said = ", ".join(f"{word} in {count}" for word, count in each.items())
    return f"It depends on the configuration: {said}{f', {CANNOT_TELL} in {unclear}' if unclear else ''}."


def _json(found: Comparison, held: Gate | None) -> str:
    metric = found.metric
    document: dict[str, Any] = {
        "a": found.a,
        "b": found.b,
        "metric": metric.name,
        "kind": "ratio" if metric.ratio else "difference",
        "unit": metric.unit.strip(),
        "less_is_better": metric.less,
        "sentence": sentence(found.overall, found.a, found.b, metric),
        **_plain(found.overall),
        "configurations": [_plain(part) for part in found.parts],
        "alone": found.alone,
        "notes": found.notes,
        "warnings": found.warnings,
        "gate": asdict(held) if held else None,
    }
    return json.dumps(document, indent=1, ensure_ascii=False)


def _plain(found: Effect) -> dict[str, Any]:
    return {**asdict(found), "runs": list(found.runs)}


def _scale(metric: Metric) -> float:
    return 1.0 if metric.ratio else metric.scale
