"""What tells two runs apart is one list, and the keys of stored runs hang on it."""

import hashlib
import json

import pytest

from harness.config import identity
from harness.config.flat import flat
from harness.store import frames
from harness.store.record import COLUMNS
from tests.conftest import ROOT
from tests.support.configurations import DEFAULT

CONFIG = DEFAULT.to_mapping()
# of every experiment a hash of its runs' keys and of the configuration that went into them
PUBLISHED = {
    "cells": "b4ccee5f7112b45476a5",
    "frameworks": "4a65bdc8a31939c513c2",
    "implementations": "ba46349c4245e655f1f2",
    "literature": "6f5e29398ff670964440",
    "pixels": "13c6ecd4039b35051830",
    "scaling": "909974ff85ca926abb9b",
}


@pytest.mark.parametrize("experiment", PUBLISHED)
def test_what_a_key_is_a_hash_of_stays(experiment: str) -> None:
    frame = frames.load(ROOT / "results/published" / experiment)
    parts = sorted(
        [key, identity.essential(config)] for key, config in zip(frame["key"], frame["config"], strict=True)
    )
    digest = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
    assert digest[:20] == PUBLISHED[experiment]


def test_every_entry_names_something_and_says_why() -> None:
    beyond_the_configuration = {"device_name", "variables"}
    known = {*flat(CONFIG), *beyond_the_configuration}
    for key in identity.KEYS:
        assert any(
            name.startswith(key.name) if key.name.endswith(".") else name == key.name for name in known
        )
        assert key.reason
        assert not key.column or key.column in COLUMNS


def test_a_seed_is_part_of_a_run_and_not_of_its_settings() -> None:
    assert "seed" in identity.essential(CONFIG)
    assert "seed" not in identity.settings(CONFIG)
    assert "results" not in identity.essential(CONFIG)
    assert not {"data.root", "results.root", "train.checkpoint_epochs"} & identity.settings(CONFIG).keys()
    assert "cell.hidden" in identity.settings(CONFIG, "task")
    assert "data.name" not in identity.settings(CONFIG, "task")
