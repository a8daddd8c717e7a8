"""Sequences of one's own: what a file may hold, what is said of every other, runs from the command line."""

import io
import json
import pickle
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from harness import data
from harness.config import dataset as chosen
from harness.data import npz
from harness.data.npz import Split, choose, examine, load, read, to_float
from harness.errors import ConfigError, DataError
from harness.launcher import preflight
from harness.launcher.key import run_key
from harness.store.record import RunRecord
from tests.conftest import ROOT, Shell, environment
from tests.support.configurations import composed
from tests.support.refusals import refused

SPLIT = Split(0.2, 0)
NUMBERS = ("<f4", "<f8", ">f8", "<f2", "|i1", "|u1", "<i2", ">i4", "<i8", "<u8")
LABELS = ("<i8", "|u1", ">i4", "<u8", "|i1")
fuzz = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


def example(count: int = 120, classes: int = 3) -> dict[str, np.ndarray]:
    """Waves (count, 12, 2) whose frequency is their class."""
    rng = np.random.default_rng(5)
    y = np.arange(count) % classes
    phase = rng.uniform(0, 2 * np.pi, (count, 1))
    wave = np.sin(np.arange(12) * (y[:, None] + 1) * 0.5 + phase)
    return {"x": np.stack([wave, 100 + 10 * wave**2], axis=2), "y": y}


def save(path: Path, **content: Any) -> Path:
    np.savez(path, **content)
    return path


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    return save(tmp_path / "mine.npz", **example())


# what is taken


@fuzz
@given(drawn=st.data())
def test_arrays_come_back_as_they_were(tmp_path: Path, drawn: st.DataObject) -> None:
    dtype = np.dtype(drawn.draw(st.sampled_from(NUMBERS)))
    shape = drawn.draw(st.tuples(st.integers(6, 20), st.integers(1, 5), st.integers(1, 4)))
    finite = {"allow_nan": False, "allow_infinity": False} if dtype.kind == "f" else {}
    if dtype.itemsize == 8 and dtype.kind == "f":
        finite |= {"max_value": 1e38, "min_value": -1e38}
    x = drawn.draw(arrays.arrays(dtype, shape, elements=arrays.from_dtype(dtype, **finite)))
    x = np.asfortranarray(x) if drawn.draw(st.booleans()) else x
    classes = drawn.draw(st.integers(2, 3))
    y = (np.arange(len(x)) % classes).astype(drawn.draw(st.sampled_from(LABELS)))
    keep = drawn.draw(st.sampled_from([np.savez, np.savez_compressed]))
    test = {"x_test": x[:4], "y_test": y[:4]} if drawn.draw(st.booleans()) else {}
    path = tmp_path / "a.npz"
    keep(path, x=x, y=y, names=np.array(["left", "alone"], object), **test)
    found = read(path)
    np.testing.assert_array_equal(found.x, x)
    np.testing.assert_array_equal(found.y, y)
    assert found.x.dtype == dtype
    assert found.y.dtype == np.int64
    assert not found.x.flags.writeable
    assert not found.y.flags.writeable
    assert (found.test is None) == (not test)
    assert found.classes == classes
    if test and found.test:
        np.testing.assert_array_equal(found.test.examples, x[:4])
    floats = to_float(found.x, found.x, "none", "float64")
    np.testing.assert_array_equal(floats, x.astype(np.float64))
    assert floats.flags.c_contiguous


@given(
    counts=st.lists(st.integers(1, 40), min_size=2, max_size=6),
    fraction=st.floats(0.01, 0.99),
    seed=st.integers(0, 2**31),
)
def test_a_split_keeps_every_row_once_and_every_class_in_what_trains(
    counts: list[int], fraction: float, seed: int
) -> None:
    y = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(counts)), counts))
    content = npz.Content(np.zeros((len(y), 1, 1)), y, None, "")
    try:
        train, validation, test = choose(Path("a"), content, Split(fraction, seed))
    except DataError as error:
        assert "too few" in str(error)  # noqa: PT017
        spare = len(y) - len(counts)  # every class keeps one to train on, one row validates
        assert spare < 2 or np.ceil(fraction * len(y)) >= spare
        return
    assert sorted([*train, *validation, *test]) == list(range(len(y)))
    assert set(y[train]) == set(y)
    assert len(validation) > 0
    assert 0 < len(test) <= np.ceil(fraction * len(y))
    again = choose(Path("a"), content, Split(fraction, seed))
    for a, b in zip((train, validation, test), again, strict=True):
        np.testing.assert_array_equal(a, b)


def test_proportions_of_the_split_and_its_seed() -> None:
    y = np.repeat([0, 1, 2], [600, 300, 100])
    content = npz.Content(np.zeros((1000, 1, 1)), y, None, "")
    train, validation, test = choose(Path("a"), content, SPLIT)
    assert np.bincount(y[test]).tolist() == [120, 60, 20]
    assert np.bincount(y[validation]).tolist() == [40, 20, 6]  # 800 // 12
    assert len(set(y[train][:60])) == 3  # in random order: a limit keeps all classes
    other = choose(Path("a"), content, Split(0.2, 1))
    assert not np.array_equal(test, other[2])
    assert not np.array_equal(validation, other[1])


def test_a_test_of_its_own_is_used_whole_and_a_limit_cuts_what_trains(tmp_path: Path) -> None:
    content = example()
    path = save(tmp_path / "a.npz", **content, x_test=content["x"][:7] + 1, y_test=content["y"][:7])
    dataset = load(path, SPLIT)
    np.testing.assert_array_equal(dataset.test.examples, content["x"][:7] + 1)
    assert len(dataset.train.labels) == 110
    assert len(dataset.validation.labels) == 10
    cut = load(path, SPLIT, 32)
    np.testing.assert_array_equal(cut.train.examples, dataset.train.examples[:32])
    np.testing.assert_array_equal(cut.validation.examples, dataset.validation.examples)
    for split in data.SPLITS:
        assert not any(array.flags.writeable for array in cut.part(split))


def test_standard_is_by_feature_over_what_trains(mine: Path) -> None:
    dataset = load(mine, SPLIT)
    train = to_float(dataset.train.examples, dataset.train.examples, "standard", "float64")
    np.testing.assert_allclose(train.mean(axis=(0, 1)), 0, atol=1e-12)
    np.testing.assert_allclose(train.std(axis=(0, 1)), 1)
    x, seen = dataset.test.examples, dataset.train.examples
    test = to_float(x, seen, "standard", "float32")
    expected = (x - seen.mean(axis=(0, 1))) / seen.std(axis=(0, 1))
    np.testing.assert_allclose(test, expected, rtol=1e-5, atol=1e-5)
    assert test.dtype == np.float32


def test_a_feature_that_never_changes_is_only_moved() -> None:
    x = np.random.default_rng(0).normal(size=(50, 3, 2))
    x[..., 1] = 0.1  # whose mean differs from it by roundoff
    floats = to_float(x, x, "standard", "float64")
    np.testing.assert_allclose(floats[..., 1], 0, atol=1e-15)


def test_a_number_too_large_for_the_precision_after_all(mine: Path) -> None:
    x = np.full((2, 1, 1), 1e30)
    seen = np.array([0.0, 1e-30]).reshape(2, 1, 1)
    with pytest.raises(DataError, match=r"data\.normalize=standard: .* too large for float32"):
        to_float(x, seen, "standard", "float32")


# what is refused


class Bomb:
    """Unpickling it leaves a file behind."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (Path.touch, (self.path,))


def npy(array: np.ndarray, **header: Any) -> bytes:
    """An array as .npy, some of its header replaced."""
    described = np.lib.format.header_data_from_array_1_0(array) | header
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, described)
    return file.getvalue() + array.tobytes()


def zipped(path: Path, **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return path


GOOD = example(24, 2)
X, Y = GOOD["x"], GOOD["y"]


def changed(at: tuple[int, ...], value: float, array: np.ndarray = X) -> np.ndarray:
    copy = array.copy()
    copy[at] = value
    return copy


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"y": Y}, "has no array x; there must be x (N, T, I) and y (N,); found: y"),
        ({"x": X, "labels": Y}, "has no array y; .*found: labels, x"),
        ({"x": X, "y": Y, "x_test": X}, "has x_test alone: x_test and y_test belong together"),
        ({"x": X, "y": Y, "y_test": Y}, "has y_test alone"),
        ({"x": X[0], "y": Y}, r"x is (12, 2): must be (N, T, I)"),
        ({"x": X[None], "y": Y}, r"x is (1, 24, 12, 2): must be (N, T, I)"),
        ({"x": X[:0], "y": Y[:0]}, r"x is empty: (0, 12, 2)"),
        ({"x": X[:, :0], "y": Y}, r"x is empty: (24, 0, 2)"),
        ({"x": X > 0, "y": Y}, "x holds bool: must be floating or integer"),
        ({"x": X + 1j, "y": Y}, "x holds complex128"),
        ({"x": X.astype(str), "y": Y}, "x holds <U32"),
        ({"x": X.astype(object), "y": Y}, "x holds object"),
        ({"x": X, "y": Y.astype(object)}, "y holds object"),
        ({"x": np.zeros((24, 2, 1), "f4,f4"), "y": Y}, "x holds"),
        ({"x": X.astype("M8[s]"), "y": Y}, "x holds datetime64"),
        ({"x": changed((3, 0, 1), np.nan), "y": Y}, "x[3, 0, 1] is nan: must be finite"),
        ({"x": changed((3, 0, 1), -np.inf), "y": Y}, "x[3, 0, 1] is -inf: must be finite"),
        ({"x": changed((3, 0, 1), np.inf, X.astype("f2")), "y": Y}, "x[3, 0, 1] is inf: must be finite"),
        ({"x": changed((3, 0, 1), 1e39), "y": Y}, "x[3, 0, 1] is 1e+39: must be finite, and at most 3.4e+38"),
        ({"x": X, "y": Y[:-1]}, "y has 23 labels for 24 sequences"),
        ({"x": X, "y": Y[:, None]}, "y is (24, 1) int64: must be (N,) integers"),
        ({"x": X, "y": Y.astype(float)}, "y is (24,) float64: must be (N,) integers"),
        ({"x": X, "y": Y > 0}, "y holds bool"),
        ({"x": X, "y": changed((5,), -1, Y)}, "y[5] is -1: classes are 0 … C-1"),
        ({"x": X, "y": Y * 2}, "y has labels up to 2, but none is 1: every class"),
        ({"x": X, "y": Y + 1}, "y has labels up to 2, but none is 0"),
        ({"x": X, "y": Y.astype("u8") + 2**63}, "y has the label 9223372036854775809"),
        ({"x": X, "y": Y * 0}, "y has one class only; there must be at least two"),
        ({"x": X[:2], "y": Y[:2]}, "2 sequences of 2 classes are too few"),
        ({"x": X, "y": Y, "x_test": X[:, :5], "y_test": Y}, r"x_test is (24, 5, 2), but x (24, 12, 2)"),
        ({"x": X, "y": Y, "x_test": X, "y_test": Y[:3]}, "y_test has 3 labels for 24 sequences"),
        ({"x": X, "y": Y, "x_test": X, "y_test": Y + 1}, "y_test has the label 2, which y has not"),
    ],
)
def test_what_does_not_fit_is_said_in_one_line(tmp_path: Path, content: dict[str, Any], said: str) -> None:
    path = save(tmp_path / "a.npz", **content)
    for refuse in (load, examine):
        with pytest.raises(DataError) as caught:
            refuse(path, SPLIT)
        message = str(caught.value)
        assert message.startswith(f"data.path={path}: ")
        assert len(message.splitlines()) == 1
        assert re.search(re.escape(said).replace(r"\.\*", ".*"), message), message


def test_nothing_is_ever_unpickled(tmp_path: Path) -> None:
    mark = tmp_path / "exploded"
    pickled = npy(np.zeros((24, 12, 2)), descr="|O") + pickle.dumps(Bomb(mark))
    label = io.BytesIO()
    np.save(label, Y)
    for path in (
        zipped(tmp_path / "a.npz", x=pickled, y=label.getvalue()),
        zipped(tmp_path / "b.npz", x=pickle.dumps(Bomb(mark)), y=label.getvalue()),
    ):
        with pytest.raises(DataError):
            read(path)
    (tmp_path / "c.npz").write_bytes(pickle.dumps(Bomb(mark)))
    with pytest.raises(DataError, match="is no npz file"):
        read(tmp_path / "c.npz")
    assert not mark.exists()
    other = zipped(tmp_path / "d.npz", x=npy(X), y=label.getvalue(), z=pickled)  # left alone
    assert read(other).classes == 2
    assert not mark.exists()


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ({"shape": (24, 12, 3)}, "takes 6,912 bytes, not the 4,608 that are there"),
        ({"shape": (10**9, 10**9, 10**9)}, "takes 8,000,000,000,000,000"),
        ({"shape": (-24, -12, 2)}, r"x is empty: \(-24, -12, 2\)"),
        ({"shape": ("a",)}, "cannot be read: "),
        ({"descr": "<f4"}, "bytes, not the"),
        ({"descr": "nonsense"}, "cannot be read: "),
        ({"descr": 7}, "cannot be read: "),
        ({"fortran_order": 3}, "cannot be read: "),
    ],
)
def test_headers_that_lie(tmp_path: Path, header: dict[str, Any], said: str) -> None:
    path = zipped(tmp_path / "a.npz", x=npy(X, **header), y=npy(Y))
    with pytest.raises(DataError, match=said):
        read(path)


@fuzz
@given(drawn=st.data())
def test_damaged_bytes_give_a_message_or_the_same_arrays(tmp_path: Path, drawn: st.DataObject) -> None:
    path = tmp_path / "a.npz"
    keep = drawn.draw(st.sampled_from([np.savez, np.savez_compressed]))
    keep(path, x=X[:6, :2].astype("f4"), y=Y[:6])
    content = bytearray(path.read_bytes())
    for _ in range(drawn.draw(st.integers(0, 3))):
        content[drawn.draw(st.integers(0, len(content) - 1))] = drawn.draw(st.integers(0, 255))
    if drawn.draw(st.booleans()):
        start = drawn.draw(st.integers(0, len(content)))
        del content[start : start + drawn.draw(st.integers(1, 200))]
    path.write_bytes(content)
    try:
        found = read(path)
    except DataError as error:
        assert str(error).startswith(f"data.path={path}: ")  # noqa: PT017
        assert len(str(error).splitlines()) == 1  # noqa: PT017
    else:
        np.testing.assert_array_equal(found.x, X[:6, :2].astype("f4"))
        np.testing.assert_array_equal(found.y, Y[:6])


@fuzz
@given(header=st.binary(max_size=80), version=st.sampled_from([1, 2, 3, 9]))
def test_hostile_headers_give_a_message(tmp_path: Path, header: bytes, version: int) -> None:
    length = len(header).to_bytes(2 if version == 1 else 4, "little")
    content = b"\x93NUMPY" + bytes([version, 0]) + length + header
    path = zipped(tmp_path / "a.npz", x=content, y=npy(Y))
    with pytest.raises(DataError):
        read(path)


@pytest.mark.parametrize("word", ["absent.npz", ".", "~nobody-of-that-name/a.npz", "plain.npz", "one.npy"])
def test_places_that_hold_no_such_file(tmp_path: Path, word: str) -> None:
    (tmp_path / "plain.npz").write_text("x,y\n1,2\n")
    np.save(tmp_path / "one.npy", X)
    path = Path(word) if word.startswith("~") else tmp_path / word
    for refuse in (load, examine):
        with pytest.raises(DataError, match=re.escape(f"data.path={path}: ")):
            refuse(path, SPLIT)


def test_a_file_is_read_again_only_when_it_has_changed(mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = examine(mine, SPLIT)
    assert (first.steps, first.features, first.classes) == (12, 2, 3)
    with monkeypatch.context() as patch:
        patch.delattr(npz, "read")
        assert examine(mine, SPLIT) == first
    save(mine, **example(60, 4))
    assert examine(mine, SPLIT).classes == 4


# configurations


def test_shapes_and_models() -> None:
    assert chosen.shape_of(composed()) == data.Shape(28, 28, 10)
    assert chosen.shape_of(composed("sequence=pixel")) == data.Shape(784, 1, 10)
    assert chosen.shape_of(composed("sequence.rows_per_step=4")) == data.Shape(7, 112, 10)


def test_a_model_for_a_file(mine: Path) -> None:
    config = composed("data=npz", f"data.path={mine}")
    model = config.model_spec(chosen.shape_of(config))
    assert (model.steps, model.features, model.classes) == (12, 2, 3)
    dataset = chosen.open_dataset(config)
    assert chosen.shape_in(config, dataset) == chosen.shape_of(config)
    assert chosen.sequences(config, dataset, "train", 5).shape == (5, 12, 2)
    assert chosen.sequences(config, dataset, "train").dtype == np.float32


def test_chunks_divide_the_sequence(mine: Path) -> None:
    preflight.check(composed("train.truncate=7"))
    said = r"train\.truncate=5: does not divide the sequence's 28 steps; allowed: 1, 2, 4, 7, 14, 28$"
    with pytest.raises(ConfigError, match=said):
        preflight.check(composed("train.truncate=5"))
    own = ("data=npz", f"data.path={mine}")
    preflight.check(composed(*own, "train.truncate=3"))
    with pytest.raises(ConfigError, match=r"sequence's 12 steps; allowed: 1, 2, 3, 4, 6, 12$"):
        preflight.check(composed(*own, "train.truncate=7"))


def test_the_key_knows_the_content_and_not_the_place(mine: Path, tmp_path: Path) -> None:
    def key(*overrides: str) -> str:
        return run_key(composed(*overrides), 1)

    other = tmp_path / "elsewhere.npz"
    shutil.copy(mine, other)
    own = ("data=npz", f"data.path={mine}")
    assert key(*own) == key("data=npz", f"data.path={other}")
    assert key(*own) != key(*own, "data.split_seed=1")
    assert key(*own) != key(*own, "data.test_fraction=0.3")
    before = key(*own)
    save(mine, **example(60))
    assert key(*own) != before
    # images are not split by a seed
    assert key("data=digits") == key("data=digits", "data.split_seed=1", "data.test_fraction=0.3")


# runs


def records(results: Path) -> list[RunRecord]:
    return [RunRecord.read(path) for path in sorted(results.glob("runs/*/*/record.json"))]


OWN = ("data=npz", "train.batch_size=16", "data.normalize=standard")


@pytest.mark.long
def test_a_file_of_ones_own_in_two_backends(
    run: Shell, results: Path, mine: Path, tmp_path: Path, harness_command: Shell
) -> None:
    done = run("-m", *OWN, f"data.path={mine}", "backend=numpy,torch", "cell=gru", "train.epochs=2")
    assert done.returncode == 0, done.stderr
    assert "numpy gru-8 npz stored seed 0: ok" in done.stderr
    found = records(results)
    assert {record.backend for record in found} == {"numpy", "torch"}
    for record in found:
        assert (record.data, record.sequence) == ("npz", "stored")
        assert record.details["shape"] == {"steps": 12, "features": 2, "classes": 3}
        assert record.details["train_examples"] == 88  # of 120: 24 test, 8 validate
        assert len(record.details["confusion"]) == 3
        assert re.fullmatch("[0-9a-f]{64}", record.details["data_sha256"])
        assert record.parity_gradient is not None
        assert record.parity_gradient < 1e-4
    losses = [record.test_loss for record in found]
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)
    table = harness_command("table", "--results", str(results), "--by", "backend,data,sequence")
    assert table.returncode == 0
    assert re.search(r"\| numpy +\| npz +\| stored +\|", table.stdout)

    moved = tmp_path / "moved.npz"
    mine.rename(moved)
    again = run(*OWN, f"data.path={moved}", "backend=numpy", "cell=gru", "train.epochs=2")
    assert "complete already" in again.stderr
    save(moved, **example(90))
    changed = run(*OWN, f"data.path={moved}", "backend=numpy", "cell=gru", "train.epochs=2")
    assert changed.returncode == 0, changed.stderr
    assert "complete already" not in changed.stderr
    assert len(records(results)) == 3
    apart = harness_command("table", "--results", str(results))
    assert "data.sha256" in apart.stdout  # two contents never share a mean


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("data.path=null", "data.path=null: data=npz needs a file with the arrays x and y"),
        ("data=digits", "mine.npz': data=digits is no file of your own"),
        ("data.path=nowhere.npz", "data.path=nowhere.npz: cannot be read: No such file"),
        ("data.path={bad}", "x[0, 0, 0] is nan: must be finite"),
        ("sequence=column", "sequence.name='column': is for images"),
        ("sequence.rows_per_step=2", "sequence.rows_per_step=2: is for images"),
        ("data.test_fraction=1", "data.test_fraction=1: must be a number in (0, 1)"),
        ("data.split_seed=-1", "data.split_seed=-1"),
        ("train.truncate=5", "train.truncate=5: does not divide the sequence's 12 steps"),
        ("train.batch_size=1000", "data=npz has 88 training sequences here, so at most 88"),
    ],
)
def test_a_mistake_is_one_message(run: Shell, mine: Path, tmp_path: Path, override: str, said: str) -> None:
    bad = save(tmp_path / "bad.npz", x=changed((0, 0, 0), np.nan), y=Y)
    refused(run("backend=numpy", *OWN, f"data.path={mine}", override.format(bad=bad)), said)


def test_in_a_sweep_a_bad_file_starts_nothing(run: Shell, results: Path, mine: Path, tmp_path: Path) -> None:
    bad = save(tmp_path / "bad.npz", x=X, y=Y * 2)
    done = run("-m", *OWN, "backend=numpy", f"data.path={mine},{bad}")
    refused(done, "none is 1")
    assert "starting" not in done.stderr
    assert records(results) == []


def test_digits_as_ever(run: Shell, results: Path) -> None:
    assert run("backend=numpy").returncode == 0
    (record,) = records(results)
    assert (record.data, record.sequence) == ("digits", "row")
    assert record.details["shape"] == {"steps": 28, "features": 28, "classes": 10}
    assert "data_sha256" not in record.details


@pytest.mark.long
def test_the_example_of_its_page(tmp_path: Path) -> None:
    """Its Python and its two commands, line by line as they stand there."""
    section = (ROOT / "docs" / "own-sequences.md").read_text("utf-8").split("\n## ")[0]
    python, shell = re.findall(r"```(?:python)?\n(.*?)```", section, re.DOTALL)
    subprocess.run([sys.executable, "-c", python], cwd=tmp_path, check=True)
    assert (tmp_path / "mine.npz").exists()
    for name in ("run.py", "conf", "harness"):
        (tmp_path / name).symlink_to(ROOT / name)
    commands = [line.split("  #")[0].split() for line in shell.strip().splitlines()]
    assert len(commands) == 2
    for command in commands:
        assert command[0] == "python"
        done = subprocess.run(
            [sys.executable, *command[1:]],
            cwd=tmp_path,
            env=environment(HARNESS_LEASES=str(tmp_path / "leases")),
            capture_output=True,
            text=True,
            timeout=600,
        )
        assert done.returncode == 0, done.stderr
    paths = sorted((tmp_path / "results").glob("runs/*/*/record.json"))
    found = [json.loads(path.read_text("utf-8")) for path in paths]
    assert {record["data"] for record in found} == {"npz"}
    assert min(record["test_accuracy"] for record in found) > 0.9
    assert "test_accuracy" in done.stdout
