"""Images as sequences: shapes and order of every view, the permutation, the floats."""

import numpy as np
import pytest

from harness.data.sequence import SEQUENCES, permutation, permutation_hash, shape, to_float, view
from harness.errors import ConfigError

IMAGES = np.random.default_rng(3).integers(0, 256, (5, 28, 28)).astype(np.uint8)
DIVISORS = (1, 2, 4, 7, 14, 28)


@pytest.mark.parametrize("k", DIVISORS)
def test_rows(k: int) -> None:
    xs = view(IMAGES, "row", k)
    assert xs.shape == (5, *shape("row", k)) == (5, 28 // k, 28 * k)
    for t in range(28 // k):
        np.testing.assert_array_equal(xs[2, t], np.concatenate([IMAGES[2, t * k + j] for j in range(k)]))
    assert np.shares_memory(xs, IMAGES)


@pytest.mark.parametrize("k", DIVISORS)
def test_columns(k: int) -> None:
    xs = view(IMAGES, "column", k)
    assert xs.shape == (5, *shape("column", k)) == (5, 28 // k, 28 * k)
    for t in range(28 // k):
        np.testing.assert_array_equal(xs[2, t], np.concatenate([IMAGES[2, :, t * k + j] for j in range(k)]))
    assert np.shares_memory(xs, IMAGES) == (k == 1)


def test_pixels() -> None:
    xs = view(IMAGES, "pixel")
    assert xs.shape == (5, *shape("pixel")) == (5, 784, 1)
    assert xs[3, 28 * 4 + 9, 0] == IMAGES[3, 4, 9]
    assert np.shares_memory(xs, IMAGES)


def test_permuted() -> None:
    xs = view(IMAGES, "permuted")
    assert xs.shape == (5, *shape("permuted")) == (5, 784, 1)
    order = permutation()
    assert sorted(order) == list(range(784))
    assert xs[3, 100, 0] == IMAGES[3].ravel()[order[100]]


def test_the_permutation_is_the_one_on_record() -> None:
    assert permutation_hash() == "0d8edeede875711db1177dfaa7db11d1a786fb5bb086301cf878dda36b1eba2e"
    with pytest.raises(ValueError, match="read-only"):
        permutation()[0] = 0


@pytest.mark.parametrize("name", ["row", "column"])
@pytest.mark.parametrize("k", [0, -1, 3, 5, 56])
def test_groups_that_do_not_divide_are_refused(name: str, k: int) -> None:
    with pytest.raises(ConfigError) as caught:
        view(IMAGES, name, k)
    assert (
        str(caught.value) == f"sequence.rows_per_step={k}: sequence={name} takes one of 1, 2, 4, 7, 14, 28."
    )


@pytest.mark.parametrize("name", ["pixel", "permuted"])
def test_pixels_are_not_grouped(name: str) -> None:
    with pytest.raises(ConfigError, match=rf"sequence.rows_per_step=2: sequence={name} takes 1 \("):
        shape(name, 2)


def test_unknown_names_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"sequence\.name=spiral: .* row, column, pixel, permuted"):
        shape("spiral")
    with pytest.raises(ConfigError, match=r"data\.normalize=max: choose one of none, standard"):
        to_float(IMAGES, "max", np.float32)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", SEQUENCES)
def test_floats(name: str, dtype: type) -> None:
    xs = view(IMAGES, name)
    plain = to_float(xs, "none", dtype)
    standard = to_float(xs, "standard", dtype)
    for floats in (plain, standard):
        assert floats.dtype == dtype
        assert floats.shape == xs.shape
        assert floats.flags.c_contiguous
    exact = xs.astype(np.float64) / 255
    tolerance = 4 * np.finfo(dtype).eps
    np.testing.assert_allclose(plain, exact, rtol=tolerance, atol=0)
    np.testing.assert_allclose(standard, (exact - 0.1307) / 0.3081, rtol=tolerance, atol=tolerance)
