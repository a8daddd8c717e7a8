"""A comparison in words, as markdown and as JSON."""

import json
from dataclasses import asdict, dataclass
from typing import Any

from harness.report.compare import order
from harness.report.compare.verdict import CANNOT_TELL, Comparison, Effect, gate_values
from harness.report.format import figure
from harness.report.metrics import Metric
from harness.report.table.formats.markdown import markdown
from harness.text import one_line

FORMATS = ("md", "json")
OVER = {
    "runs": "a bootstrap over runs",
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


def gate(comparison: Comparison, below: float) -> Gate:
    overall, metric = comparison.overall, comparison.metric
    estimate, low, high = gate_values(overall, metric)
    failed = high < below and not overall.why
    unit = metric.unit if not metric.ratio else ""
    what = f"{metric.shown(estimate)} [{metric.shown(low)}, {metric.shown(high)}]{unit}"
    if metric.less:
        what += f" ({'the inverse of the ratio' if metric.ratio else 'with its sign turned'}: less is better)"
    if failed:
        outcome = f"failed: {what} lies below {below:g}"
    elif overall.why:
        outcome = f"passed: it cannot be told; {overall.why}"
    else:
        outcome = f"passed: {what} does not lie below {below:g}"
    return Gate(below, estimate, low, high, failed, f"--fail-below {below:g}: {outcome}")


def sentence(effect: Effect, a: str, b: str, metric: Metric) -> str:
    """`backend=torch is 1.22 times as fast as backend=numpy [1.14, 1.32]: faster`."""
    text = metric.sentence.format(a=a, b=b, figure=metric.in_words(effect.estimate))
    return f"{text} {between(effect, metric)}: {effect.verdict}{f' ({effect.why})' if effect.why else ''}"


def between(effect: Effect, metric: Metric) -> str:
    return f"[{metric.shown(effect.low)}, {metric.shown(effect.high)}]"


def render(comparison: Comparison, style: str, gated: Gate | None = None) -> str:
    return _json(comparison, gated) if style == "json" else _markdown(comparison, gated)


def _markdown(comparison: Comparison, gated: Gate | None) -> str:
    overall, metric = comparison.overall, comparison.metric
    a, b = (one_line(text, 120) for text in (comparison.a, comparison.b))
    paragraphs = [f"**Warning:** {warning}" for warning in comparison.warnings]
    paragraphs.append(sentence(overall, a, b, metric))
    within = overall.over == "runs" and not metric.column.of_fastest
    paragraphs.append(
        f"{metric.name}{', less is better' if metric.less else ''}; 95 % interval of {OVER[overall.over]}"
        f"{' and the windows within them' if within else ''}; "
        f"{overall.runs[0]} and {overall.runs[1]} runs in {len(comparison.parts)} "
        f"configuration{'s' * (len(comparison.parts) != 1)}{', paired by seed' if overall.paired else ''}."
    )
    if len(comparison.parts) > 1:
        paragraphs += filter(None, (_apart(comparison), _table(comparison, a, b)))
    else:
        first, second = (figure(metric.name, value / _scale(metric)) for value in (overall.a, overall.b))
        paragraphs.append(f"{a}: {first}; {b}: {second}.")
    paragraphs += comparison.remarks
    for head, items in (("Left out", comparison.alone), ("They differ too", comparison.notes)):
        if items:
            paragraphs.append("\n".join([f"{head}:", "", *(f"- {one_line(item)}" for item in items)]))
    if metric.name == "train_throughput" and overall.verdict == CANNOT_TELL and overall.why != order.WHY:
        paragraphs.append(CLOSER)
    if gated:
        paragraphs.append(gated.sentence)
    return "\n\n".join(paragraphs)


def _table(comparison: Comparison, a: str, b: str) -> str:
    metric = comparison.metric
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
        for part in comparison.parts
    ]
    return markdown(heads, rows, 1)


def _apart(comparison: Comparison) -> str:
    """That configurations contradict one another, where they do."""
    each = {
        word: sum(p.verdict == word for p in comparison.parts)
        for word in (comparison.metric.better, comparison.metric.worse)
    }
    if not all(each.values()):
        return ""
    unclear = sum(part.verdict == CANNOT_TELL for part in comparison.parts)
    counts = ", ".join(f"{word} in {count}" for word, count in each.items())
    return f"It depends on the configuration: {counts}{f', {CANNOT_TELL} in {unclear}' if unclear else ''}."


def _json(comparison: Comparison, gated: Gate | None) -> str:
    metric = comparison.metric
    document: dict[str, Any] = {
        "a": comparison.a,
        "b": comparison.b,
        "metric": metric.name,
        "kind": "ratio" if metric.ratio else "difference",
        "unit": metric.unit.strip(),
        "less_is_better": metric.less,
        "sentence": sentence(comparison.overall, comparison.a, comparison.b, metric),
        **_plain(comparison.overall),
        "configurations": [_plain(part) for part in comparison.parts],
        "alone": comparison.alone,
        "notes": comparison.notes,
        "warnings": comparison.warnings,
        "remarks": comparison.remarks,
        "gate": asdict(gated) if gated else None,
    }
    return json.dumps(document, indent=1, ensure_ascii=False)


def _plain(effect: Effect) -> dict[str, Any]:
    return {**asdict(effect), "runs": list(effect.runs)}


def _scale(metric: Metric) -> float:
    return 1.0 if metric.ratio else metric.scale
