"""The files of checkpoints: two generations, whole or passed over."""

from pathlib import Path

import numpy as np
import pytest

from harness.errors import StoreError
from harness.store.checkpoint import Checkpoints
from tests.support.checkpoints import checkpoint, equal


def test_the_last_two_are_kept_as_they_were_written(tmp_path: Path) -> None:
    directory = tmp_path / "checkpoint"
    writer = Checkpoints(directory, "abc")
    assert writer.newest() is None
    for epoch in (1, 2, 9, 10, 100):
        writer.write(checkpoint(epoch))
        assert equal(Checkpoints(directory, "abc").newest(), checkpoint(epoch))
    assert sorted(path.name for path in directory.iterdir()) == [
        f"epoch-{epoch:08d}{suffix}" for epoch in (10, 100) for suffix in (".json", ".safetensors")
    ]


def test_what_was_left_half_written_is_removed(tmp_path: Path) -> None:
    writer = Checkpoints(tmp_path, "abc")
    writer.write(checkpoint(3))
    for name in ("epoch-00000004.safetensors", ".epoch-00000004.json.x1_y", ".epoch-00000005.safetensors.z"):
        (tmp_path / name).write_bytes(b"half")
    again = Checkpoints(tmp_path, "abc")
    assert equal(again.newest(), checkpoint(3))
    assert again.skipped == []
    again.write(checkpoint(6))
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        f"epoch-0000000{epoch}{suffix}" for epoch in (3, 6) for suffix in (".json", ".safetensors")
    ]


def test_any_damage_is_noticed(tmp_path: Path) -> None:
    """Every bit of the document, every byte of the tensors: the newest as it was, or the one before."""
    writer = Checkpoints(tmp_path, "abc")
    writer.write(checkpoint(1))
    writer.write(checkpoint(2))
    rng = np.random.default_rng(0)
    noticed = 0
    for suffix in ("json", "safetensors"):
        path = tmp_path / f"epoch-00000002.{suffix}"
        content = path.read_bytes()
        for at in range(len(content)):
            damaged = bytearray(content)
            damaged[at] ^= 1 << int(rng.integers(8))
            path.write_bytes(damaged)
            reader = Checkpoints(tmp_path, "abc")
            found = reader.newest()
            assert equal(found, checkpoint(1 if reader.skipped else 2)), (suffix, at)
            noticed += bool(reader.skipped)
        for size in range(len(content) - 1):
            path.write_bytes(content[:size])
            reader = Checkpoints(tmp_path, "abc")
            assert equal(reader.newest(), checkpoint(1)), (suffix, size)
        path.write_bytes(content)
    assert noticed > 500


def test_a_directory_that_cannot_be_written_to(tmp_path: Path) -> None:
    (tmp_path / "checkpoint").write_text("a file")
    with pytest.raises(StoreError, match="the checkpoint after epoch 1 cannot be written to"):
        Checkpoints(tmp_path / "checkpoint", "abc").write(checkpoint(1))
