"""The typed configuration: what conf/ composes is valid, and nothing else gets through."""

import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.config.compose import CONF
from harness.config.identity import YOUNGER
from harness.config.schema import Config
from harness.errors import ConfigError
from harness.sweep.plan import make_plan
from tests.support.configurations import DEFAULT, KEYS, composed

JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.lists(st.one_of(st.integers(), st.floats(), st.text(max_size=3)), max_size=3),
    st.dictionaries(st.text(max_size=5), st.integers(), max_size=2),
)


EXPERIMENTS_OWN = ("contender", "size")  # groups that no run has by default
NEEDS = {"data=npz": ("data.path=mine.npz",)}  # what a choice cannot do without


def test_the_default_is_the_run_of_the_readme() -> None:
    assert (DEFAULT.backend.name, DEFAULT.cell.name, DEFAULT.cell.hidden) == ("torch", "lstm", 128)
    assert (DEFAULT.data.name, DEFAULT.sequence.name, DEFAULT.seed) == ("mnist", "row", 0)
    train = DEFAULT.train
    assert (train.epochs, train.batch_size, train.optimizer) == (5, 128, "adam")
    assert (train.learning_rate, train.schedule, train.clip_norm) == (3e-3, "cosine", None)


def test_the_elman_cell_brings_its_own_recipe_and_the_command_line_wins() -> None:
    assert (composed("cell=rnn").train.learning_rate, composed("cell=rnn").train.clip_norm) == (1e-3, 1.0)
    assert composed("cell=rnn", "train.learning_rate=0.5").train.learning_rate == 0.5


@pytest.mark.parametrize(
    "choice",
    [
        f"{'+' * (path.parent.name in EXPERIMENTS_OWN)}{path.parent.name}={path.stem}"
        for path in sorted(Path(CONF).glob("*/*.yaml"))
        if path.parent.name != "experiment"
    ],
)
def test_every_choice_in_conf_is_valid(choice: str) -> None:
    assert composed(choice, *NEEDS.get(choice, ()))


@pytest.mark.parametrize(
    ("experiment", "runs"),
    [
        ("quickstart", 6),
        ("frameworks", 27),
        pytest.param("implementations", 117, marks=pytest.mark.long),
        pytest.param("scaling", 135, marks=pytest.mark.long),
        ("answer", 13),
        pytest.param("sharding", 45, marks=pytest.mark.long),
        ("literature", 3),
        ("pixels", 6),
    ],
)
def test_every_experiment_is_valid_as_a_whole(experiment: str, runs: int, tmp_path: Path) -> None:
    plan = make_plan([f"+experiment={experiment}", f"results.root={tmp_path}"])
    assert plan is not None
    assert plan.total == len(plan.tasks or ()) == runs


def test_it_survives_the_way_to_the_child() -> None:
    assert Config.from_mapping(DEFAULT.to_mapping()) == DEFAULT


@given(key=st.sampled_from(KEYS), value=JUNK)
def test_any_value_is_taken_as_it_is_or_refused_by_name(key: tuple[str, ...], value: Any) -> None:
    values = DEFAULT.to_mapping()
    place = values
    for part in key[:-1]:
        place = place[part]
    place[key[-1]] = value
    try:
        config = Config.from_mapping(values)
    except ConfigError as error:
        refusal = str(error)
    else:
        refusal = None
    if refusal is not None:
        assert key[-1] in refusal
        assert len(refusal.splitlines()) == 1
        return
    taken = config.to_mapping()
    for part in key:
        taken = taken[part]
    if isinstance(value, float) and not isinstance(taken, list):
        assert math.isfinite(value)
    assert taken == (sorted(set(value)) if isinstance(value, list) else value)


@given(name=st.text(min_size=1, max_size=10), value=JUNK)
def test_no_unknown_key_gets_in(name: str, value: Any) -> None:
    values = DEFAULT.to_mapping()
    if name not in values:
        with pytest.raises(ConfigError, match="unknown key"):
            Config.from_mapping({**values, name: value})
    if name not in values["train"]:
        with pytest.raises(ConfigError, match="unknown key"):
            Config.from_mapping({**values, "train": {**values["train"], name: value}})


@given(missing=st.sampled_from([key for key in KEYS if ".".join(key) not in YOUNGER]))
def test_no_key_may_be_missing(missing: tuple[str, ...]) -> None:
    values = DEFAULT.to_mapping()
    place = values
    for part in missing[:-1]:
        place = place[part]
    del place[missing[-1]]
    with pytest.raises(ConfigError, match=missing[-1]):
        Config.from_mapping(values)
