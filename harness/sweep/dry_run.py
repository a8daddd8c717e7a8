"""`sweep.dry_run=true`: lists what a command would run, what is complete already and what cannot start here.

Nothing is run and nothing is written.
"""

import sys
from collections import Counter
from dataclasses import dataclass
from datetime import timedelta

from harness.backends.implementations import resolve_implementation
from harness.config import catalogue
from harness.config.schema import Config
from harness.errors import HarnessError, Unavailable
from harness.launcher import preflight
from harness.launcher.key import run_key
from harness.launcher.launch import threads_and_gpus
from harness.launcher.titles import title_of
from harness.store import attempts, frames
from harness.sweep.estimate import DurationEstimate, RunKind
from harness.sweep.task import Task

WOULD_RUN, COMPLETE, CANNOT_START = "would run", "complete already", "cannot start"


@dataclass(frozen=True)
class Prediction:
    """What would become of one run, why, and its estimated seconds, if there is an estimate."""

    title: str
    verdict: str
    reason: str = ""
    seconds: float | None = None


def show(tasks: list[Task] | None, total: int | None) -> int:
    """Prints a line per run and their sum. Returns the exit status: 0, or 2 if no run could start."""
    if tasks is None:
        runs = "runs" if total is None else f"{total} runs"
        sys.stdout.write(f"{runs} that the search chooses one after another: they are not known beforehand\n")
        return 0
    configs = [task.config for task in tasks]
    estimate = _estimate({config.results.root for config in configs})
    predictions: list[Prediction] = []
    planned_keys: set[str] = set()
    for number, config in enumerate(configs):
        prediction = _predict(config, estimate, planned_keys)
        predictions.append(prediction)
        position = f"[{number + 1}/{len(tasks)}] " if len(tasks) > 1 else ""
        sys.stdout.write(f"{position}{prediction.title}: {prediction.verdict}{_reason(prediction)}\n")
    sys.stdout.write(_sum(predictions) + "\n")
    return 2 if all(prediction.verdict == CANNOT_START for prediction in predictions) else 0


def _predict(config: Config, estimate: DurationEstimate, planned_keys: set[str]) -> Prediction:
    """Adds the run's key to `planned_keys` if it would run."""
    title = title_of(config)
    try:
        threads, gpus = threads_and_gpus(config)
        _check_available(config)
        preflight.check_inputs(config)
        key = run_key(config, threads, gpus)
        record = attempts.find_complete(config.results.root, key, with_weights=config.save_weights)
    except HarnessError as error:
        return Prediction(title, CANNOT_START, str(error))
    if config.sweep.rerun != "all":
        if key in planned_keys:
            return Prediction(title, COMPLETE, "by then: the same run comes before it")
        planned_keys.add(key)
        if record is not None:
            return Prediction(title, COMPLETE, str(record.record_path))
    return Prediction(title, WOULD_RUN, seconds=estimate.seconds(RunKind.of(config.to_mapping())))


def _check_available(config: Config) -> None:
    """Raises Unavailable for an implementation or a package that is missing; imports no framework."""
    backend, cell, implementation = config.backend.name, config.cell.name, config.backend.implementation
    resolve_implementation(backend, cell, implementation, catalogue.implementations(backend, cell))
    missing = catalogue.missing_packages(backend, config.backend.engine)
    if missing:
        raise Unavailable(
            f"{' and '.join(missing)} is not installed; install it: {catalogue.install_command(missing)}"
        )


def _estimate(roots: set[str]) -> DurationEstimate:
    """From the stored runs that ended `ok`, without their wait for cores."""
    estimate = DurationEstimate()
    for root in roots:
        try:
            records = frames.records(root)
        except HarnessError:  # the directory does not exist yet
            continue
        for record in records:
            if record.ok and record.total_seconds is not None:
                waited = record.timing.get("phases", {}).get("lease", 0.0)
                estimate.add(RunKind.of(record.config), record.total_seconds - waited)
    return estimate


def _reason(prediction: Prediction) -> str:
    if prediction.reason:
        separator = ": " if prediction.verdict == CANNOT_START else ", "
        return separator + prediction.reason
    return "" if prediction.seconds is None else f", about {_duration(prediction.seconds)}"


def _sum(predictions: list[Prediction]) -> str:
    count = Counter(prediction.verdict for prediction in predictions)
    durations = [each.seconds for each in predictions if each.seconds is not None]
    parts = [f"{count[WOULD_RUN]} would run"]
    if durations:
        unknown = count[WOULD_RUN] - len(durations)
        parts[0] += f" (one after another about {_duration(sum(durations))}"
        parts[0] += f", and {unknown} of unknown length)" if unknown else ")"
    parts += [f"{count[COMPLETE]} complete already", f"{count[CANNOT_START]} cannot start"]
    return ", ".join(parts)


def _duration(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))
