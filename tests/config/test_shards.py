"""`backend.shards`: where it is refused, and what it does to a run's identity."""

from pathlib import Path

import pytest

from harness.config import identity
from harness.config.schema import Config
from harness.errors import ConfigError, Unavailable
from harness.launcher.key import run_key
from harness.launcher.launch import threads_and_gpus
from harness.launcher.titles import title_of
from harness.measure.machine import cores
from harness.sweep.plan import make_plan
from tests.conftest import Shell
from tests.support.configurations import composed
from tests.support.refusals import refused

TWO = ("backend=torch", "backend.shards=2", "threads=2", "device=cpu")
REFUSED = {
    ("backend=torch", "backend.shards=3", "threads=2"): "3: must be 1 … threads=2, for a thread each",
    (
        "backend=torch",
        "backend.shards=2",
        "device=cuda",
    ): "2: on device=cuda torch takes 1 alone, or device=cpu",
    (
        "backend=torch",
        "backend.shards=2",
        "device=mps",
    ): "2: on device=mps torch takes 1 alone, or device=cpu",
    ("backend=numpy", "backend.shards=2", "threads=2"): "2: numpy takes 1 alone",
    ("backend=keras", "backend.shards=2", "threads=2"): "2: keras takes 1 alone",
    ("backend=torch", "backend.shards=0"): "0: must be a whole number from 1 to 4,096",
    ("backend=torch", "backend.shards=null"): "null: must be a whole number from 1 to 4,096",
    (*TWO, "mode=stream", "weights=w.safetensors"): "2: mode=stream reads no batches to split: 1 alone",
}


@pytest.mark.parametrize("overrides", REFUSED, ids=" ".join)
def test_it_is_refused_by_name_and_says_what_is_allowed(overrides: tuple[str, ...], tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        make_plan([*overrides, f"results.root={tmp_path}"])
    assert str(caught.value) == f"backend.shards={REFUSED[overrides]}"


def test_it_is_refused_as_typed(run: Shell) -> None:
    refused(run("backend=numpy", "backend.shards=2"), "backend.shards=2: numpy takes 1 alone")


def test_more_shards_than_cores_are_unavailable() -> None:
    many = len(cores()) + 1
    with pytest.raises(Unavailable, match=rf"backend.shards={many}: must be 1 … threads="):
        threads_and_gpus(composed("backend=torch", f"backend.shards={many}", "device=cpu"))


def test_a_run_with_one_shard_is_the_run_that_it_was() -> None:
    config = composed("backend=torch").to_mapping()
    older = {**config, "backend": {k: v for k, v in config["backend"].items() if k != "shards"}}
    assert identity.essential(config) == identity.essential(older)
    assert identity.settings(config) == identity.settings(older)
    assert Config.from_mapping(older) == Config.from_mapping(config)


@pytest.mark.usefixtures("plain_environment")
def test_shards_are_in_the_key_and_in_the_title() -> None:
    one, two = composed("threads=2", "device=cpu"), composed(*TWO)
    assert run_key(one, 2) != run_key(two, 2)
    assert identity.settings(two.to_mapping())["backend.shards"] == 2
    assert "torch 2 shards lstm-128" in title_of(two)
    assert "shard" not in title_of(one)
