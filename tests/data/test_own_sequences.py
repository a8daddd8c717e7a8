"""Your own sequences: what a file may contain, the message for every other file, splits, normalisation."""

import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from harness.config import dataset as chosen
from harness.data import own_sequences
from harness.data.dataset import SPLITS, Shape
from harness.data.own_sequences import Content, SplitOptions, inspect, load, read, split_rows, to_float
from harness.errors import ConfigError, DataError
from harness.launcher import preflight
from harness.launcher.key import run_key
from tests.support.configurations import composed
from tests.support.npz_files import SPLIT, X, Y, changed, example, save

NUMBERS = ("<f4", "<f8", ">f8", "<f2", "|i1", "|u1", "<i2", ">i4", "<i8", "<u8")
LABELS = ("<i8", "|u1", ">i4", "<u8", "|i1")
fuzz = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


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
    content = Content(np.zeros((len(y), 1, 1)), y, None, "")
    try:
        train, validation, test = split_rows(Path("a"), content, SplitOptions(fraction, seed))
    except DataError as error:
        assert "too few" in str(error)  # noqa: PT017
        spare = len(y) - len(counts)  # every class keeps one to train on, one row validates
        assert spare < 2 or np.ceil(fraction * len(y)) >= spare
        return
    assert sorted([*train, *validation, *test]) == list(range(len(y)))
    assert set(y[train]) == set(y)
    assert len(validation) > 0
    assert 0 < len(test) <= np.ceil(fraction * len(y))
    again = split_rows(Path("a"), content, SplitOptions(fraction, seed))
    for a, b in zip((train, validation, test), again, strict=True):
        np.testing.assert_array_equal(a, b)


def test_proportions_of_the_split_and_its_seed() -> None:
    y = np.repeat([0, 1, 2], [600, 300, 100])
    content = Content(np.zeros((1000, 1, 1)), y, None, "")
    train, validation, test = split_rows(Path("a"), content, SPLIT)
    assert np.bincount(y[test]).tolist() == [120, 60, 20]
    assert np.bincount(y[validation]).tolist() == [40, 20, 6]  # 800 // 12
    assert len(set(y[train][:60])) == 3  # in random order: a limit keeps all classes
    other = split_rows(Path("a"), content, SplitOptions(0.2, 1))
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
    for split in SPLITS:
        assert not any(array.flags.writeable for array in cut.split(split))


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


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"y": Y}, "has no array x; it needs x (N, T, I) and y (N,); found: y"),
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
        ({"x": X, "y": Y, "x_test": X, "y_test": Y + 1}, "y_test has the label 2, which does not occur in y"),
    ],
)
def test_what_does_not_fit_is_said_in_one_line(tmp_path: Path, content: dict[str, Any], said: str) -> None:
    path = save(tmp_path / "a.npz", **content)
    for refuse in (load, inspect):
        with pytest.raises(DataError) as caught:
            refuse(path, SPLIT)
        message = str(caught.value)
        assert message.startswith(f"data.path={path}: ")
        assert len(message.splitlines()) == 1
        assert re.search(re.escape(said).replace(r"\.\*", ".*"), message), message


@pytest.mark.parametrize("word", ["absent.npz", ".", "~nobody-of-that-name/a.npz", "plain.npz", "one.npy"])
def test_places_that_hold_no_such_file(tmp_path: Path, word: str) -> None:
    (tmp_path / "plain.npz").write_text("x,y\n1,2\n")
    np.save(tmp_path / "one.npy", X)
    path = Path(word) if word.startswith("~") else tmp_path / word
    for refuse in (load, inspect):
        with pytest.raises(DataError, match=re.escape(f"data.path={path}: ")):
            refuse(path, SPLIT)


def test_a_file_is_read_again_only_when_it_has_changed(mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = inspect(mine, SPLIT)
    assert first.shape == Shape(12, 2, 3)
    with monkeypatch.context() as patch:
        patch.delattr(own_sequences, "read")
        assert inspect(mine, SPLIT) == first
    save(mine, **example(60, 4))
    assert inspect(mine, SPLIT).shape.classes == 4


# configurations


def test_shapes_and_models() -> None:
    assert chosen.shape_of(composed()) == Shape(28, 28, 10)
    assert chosen.shape_of(composed("sequence=pixel")) == Shape(784, 1, 10)
    assert chosen.shape_of(composed("sequence.rows_per_step=4")) == Shape(7, 112, 10)


def test_a_model_for_a_file(mine: Path) -> None:
    config = composed("data=npz", f"data.path={mine}")
    model = config.model_spec(chosen.shape_of(config))
    assert (model.steps, model.features, model.classes) == (12, 2, 3)
    dataset = chosen.open_dataset(config)
    assert chosen.shape_in(config, dataset) == chosen.shape_of(config)
    assert chosen.sequences(config, dataset, "train", slice(5)).shape == (5, 12, 2)
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
