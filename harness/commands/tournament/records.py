"""A tournament as ordinary records: one for each contender and heat, of `mode=throughput`."""

import hashlib
import json
from dataclasses import replace
from typing import Any

from harness.commands.tournament.result import MINIMUM_ROUNDS, Heat, Tournament
from harness.config import dataset
from harness.errors import StoreError
from harness.launcher.key import run_key
from harness.launcher.record_builder import RecordBuilder
from harness.measure.clock import now
from harness.runner import training
from harness.runner.protocol import Update
from harness.store import attempts
from harness.store.record import RunRecord


def store(tournament: Tournament, heat: Heat, command: str) -> list[str]:
    """Stores the records of the newest heat; why any could not be stored."""
    problems = []
    for record in records(tournament, heat, command):
        root = record.config["results"]["root"]
        try:
            attempts.store(record, root, attempts.new_attempt(root, record.key, now()))
        except StoreError as error:
            problems.append(str(error))
    return problems


def records(tournament: Tournament, heat: Heat, command: str) -> list[RunRecord]:
    """One for each contender that took part in enough rounds, and for each that failed in this heat, or
    before the first."""
    failed = [k for k in tournament.failures if k in heat.start_order or heat is tournament.heats[0]]
    timed = [k for k in heat.properties if len(heat.rounds_of(k)) >= MINIMUM_ROUNDS and k not in failed]
    return [_record(tournament, heat, k, command) for k in sorted((*failed, *timed))]


def _record(tournament: Tournament, heat: Heat, k: int, command: str) -> RunRecord:
    contender, failure = tournament.contenders[k], tournament.failures.get(k)
    number = tournament.heats.index(heat) + 1
    key = _key(tournament, k, number)
    builder = RecordBuilder(contender.config, key=key, threads=contender.threads, command=command)
    environment = tournament.environment
    builder.values["environment"] = environment | {"cores": environment["cores"][: contender.threads]}
    builder.values["started"] = heat.started
    sha256 = dataset.fingerprint(contender.config)
    properties = heat.properties.get(k, {})
    builder.update(
        Update(
            columns=properties,
            details={
                "tournament": {"started": tournament.started, "seed": tournament.seed, "heat": number},
                **({"shape": properties["shape"]} if properties else {}),
                **({"data_sha256": sha256} if sha256 else {}),
            },
        )
    )
    seconds = [each[k] for each in heat.rounds_of(k)]
    if seconds and failure is None:
        builder.update(_speed(tournament, heat, k, seconds))
    record = builder.build(failure.status if failure else "ok", failure.reason if failure else None)
    phases = {"launch": properties.get("ready_seconds", 0.0), "training": sum(seconds)}
    return replace(record, timing=record.timing | {"phases": phases}, total_seconds=sum(phases.values()))


def _speed(tournament: Tournament, heat: Heat, k: int, seconds: list[float]) -> Update:
    """The columns on speed and the raw windows, as a run of `mode=throughput` has them."""
    config, steps = tournament.contenders[k].config, heat.properties[k]["updates"]
    contention = heat.contended
    return Update(
        columns=training.speed(config, [steps] * len(seconds), seconds)
        | {"contended": contention.contended if contention else None},
        details={
            "energy": {"reason": "contenders take turns, in windows too short for a counter of energy"},
            **(contention.to_mapping() if contention else {}),
        },
        timing={
            "windows": [
                {"steps": steps, "sequences": steps * config.train.batch_size, "seconds": each}
                for each in seconds
            ]
        },
    )


def _key(tournament: Tournament, k: int, heat: int) -> str:
    """20 hexadecimal digits. It is not the key of the run of that configuration, which a tournament does not
    make: a sweep never finds it complete already."""
    contender = tournament.contenders[k]
    parts: list[Any] = [
        run_key(contender.config, contender.threads, contender.gpus),
        tournament.started,
        tournament.seed,
    ]
    return hashlib.sha256(json.dumps([*parts, k, heat]).encode()).hexdigest()[:20]
