"""How a tournament decides: comparisons, letters, who drops out, when it ends. No process runs."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy import stats

from harness.commands.tournament.command import LEVEL, ROUNDS
from harness.commands.tournament.comparison import geometric_mean, holm_levels, p_value
from harness.commands.tournament.letters import letters
from harness.commands.tournament.result import HEATS, MINIMUM_HEATS, Failure, Rules, Tournament
from tests.support.tournaments import alike, heat, simulate, tournament

RULES = Rules(0.02, 600.0, ROUNDS, drop_out=True, level=LEVEL)


def played(*speeds: tuple[float, ...], rules: Rules = RULES) -> Tournament:
    """A tournament after heats in which contenders had these speeds."""
    made = tournament(len(speeds[0]), rules)
    made.heats = [heat(dict(enumerate(each))) for each in speeds]
    return made


def test_a_p_value_is_that_of_the_paired_test() -> None:
    ratios = [1.01, 1.04, 0.99, 1.03, 1.02]
    assert p_value(ratios) == pytest.approx(stats.ttest_1samp(np.log(ratios), 0).pvalue)
    assert p_value([1 / ratio for ratio in ratios]) == pytest.approx(p_value(ratios))
    assert p_value([1.5]) == 1
    assert p_value([1.0, 1.0]) == 1
    assert p_value([1.5, 1.5]) == 0


@given(st.lists(st.floats(0, 0.02) | st.floats(0, 1), min_size=1, max_size=8))
@example([0.001, 0.004, 0.5])
def test_levels_are_those_of_holms_procedure(p_values: list[float]) -> None:
    alpha, m = 1 - LEVEL, len(p_values)
    told = [p <= 1 - level for p, level in zip(p_values, holm_levels(p_values, LEVEL), strict=True)]
    expected = [False] * m
    for step, k in enumerate(sorted(range(m), key=p_values.__getitem__)):  # as the paper has it
        if p_values[k] > alpha / (m - step):
            break
        expected[k] = True
    near = any(math.isclose(p, alpha / (m - step)) for p in p_values for step in range(m))
    assert near or told == expected


def test_an_interval_leaves_1_out_exactly_if_the_test_rejects() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        ratios = list(np.exp(0.01 + 0.01 * rng.standard_normal(5)))
        mean = geometric_mean(ratios, 0.99)
        assert mean.low is not None
        assert mean.high is not None
        assert (not mean.low <= 1 <= mean.high) == (p_value(ratios) < 0.01)


@given(st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=5), st.floats(0.9, 1 - 1e-6))
@example([1.0, 1.4], 1 - 1e-4)
@example([1.0, 1.0], 1 - 1e-4)
def test_an_interval_has_ends_or_there_is_none(ratios: list[float], level: float) -> None:
    for mean in (geometric_mean(ratios, level), geometric_mean(ratios, level).inverse):
        assert (mean.low is None) == (mean.high is None) == (mean.half_width is None)
        if mean.low is not None and mean.high is not None:
            assert 0 < mean.low <= mean.high < math.inf
    assert geometric_mean([1.0, 1.4], 1 - 1e-4).low is None


def test_two_contenders_are_judged_as_in_a_race() -> None:
    made = played((1.0, 1.1), (1.0, 1.2), (1.0, 1.15), rules=Rules(0.02, 600.0))
    (first, second) = made.standings()
    assert (first.contender, second.contender) == (1, 0)
    assert second.ratio == made.ratio(0, 1)


@given(
    st.integers(1, 7).flatmap(
        lambda n: st.tuples(
            st.just(n), st.sets(st.sampled_from(list(itertools.combinations(range(7), 2))), max_size=21)
        )
    )
)
def test_contenders_share_a_letter_exactly_if_they_are_not_told_apart(
    drawn: tuple[int, set[tuple[int, int]]],
) -> None:
    n, pairs = drawn
    apart = {frozenset(pair) for pair in pairs if max(pair) < n}
    named = letters(range(n), apart)
    for pair in itertools.combinations(range(n), 2):
        assert bool(set(named[pair[0]]) & set(named[pair[1]])) == (frozenset(pair) not in apart)
    assert all(named.values())
    assert "a" in named[0]


def test_letters_of_a_ranking_read_from_the_first_on() -> None:
    apart = [frozenset(pair) for pair in ((0, 2), (0, 3), (1, 3))]
    assert letters([0, 1, 2, 3], apart) == {0: "a", 1: "ab", 2: "bc", 3: "c"}
    everybody = [frozenset(pair) for pair in itertools.combinations(range(28), 2)]
    assert letters(range(28), everybody)[27] == "b′"


def test_who_is_told_apart_from_the_leader_drops_out_after_enough_heats() -> None:
    heats = [(1.0, 1 + 0.05 * (-1) ** k, 0.5) for k in range(MINIMUM_HEATS)]
    made = played(*heats[: MINIMUM_HEATS - 1])
    made.judge()
    assert made.remaining == [0, 1, 2], "too early"
    made = played(*heats)
    made.judge()
    assert made.dropped == {2: MINIMUM_HEATS}
    assert made.remaining == [0, 1]
    assert not made.ended
    assert [each.letters for each in made.standings()] == ["a", "a", "b"]


def test_who_may_not_be_the_last_of_those_in_front_stays() -> None:
    """The second cannot be told apart from the leader, nor the third from the second: each may be first."""
    heats = [(1.0, 0.99, 0.98), (1.0, 0.9901, 0.9801), (1.0001, 0.94, 0.98), (1.0, 0.99, 0.98)]
    made = played(*heats, (1.0, 0.99, 0.98))
    made.judge()
    assert [each.letters for each in made.standings()] == ["a", "b", "ab"]
    assert made.remaining == [0, 1, 2]


def test_who_dropped_out_is_compared_over_the_heats_that_both_took_part_in() -> None:
    made = played((1.0, 0.5), (1.01, 0.5), (0.99, 0.5))
    before = made.ratio(1, 0)
    made.heats.append(heat({0: 7.0}))
    assert made.ratio(1, 0) == before
    assert [each.heats for each in made.standings()] == [4, 3]


def test_a_heat_that_was_cut_short_does_not_count() -> None:
    made = played((1.0, 0.9), (1.0, 0.9))
    for rounds, ratio in ((40, 0.9), (40, 0.9), (19, 0.5)):
        made.heats.append(heat({0: 1.0, 1: ratio}, rounds))
    made.heats[:2] = []
    assert [each.heats for each in made.standings()] == [2, 2]
    assert made.ratio(1, 0).mean == pytest.approx(0.9)
    made.heats[-1] = heat({0: 1.0, 1: 0.5}, 20)
    assert [each.heats for each in made.standings()] == [3, 3]


def test_it_is_decided_when_the_leader_alone_is_left() -> None:
    heats = [(1.0, 0.5), (1.01, 0.5), (0.99, 0.5), (1.0, 0.49), (1.0, 0.5)]
    made = played(*heats)
    made.judge()
    assert made.ended == "decided"
    race = played(*heats, rules=Rules(0.0001, 600.0))
    race.judge()
    assert not race.ended, "a race is for its ratio: nobody drops out"


def test_it_is_over_when_every_interval_against_the_leader_is_narrow() -> None:
    narrow = [(1.0, 1.001, 0.999), (1.0, 0.999, 1.001), (1.0, 1.0, 1.0), (1.0, 1.001, 1.001)]
    made = played(*narrow)
    made.judge()
    assert not made.ended, f"{MINIMUM_HEATS} heats at least"
    made = played(*narrow, (1.0, 0.9995, 0.9985))
    made.judge()
    assert made.ended == "precise"
    made = played(*narrow, (1.0, 1.0, 1.1))
    made.judge()
    assert not made.ended, "one of them is not narrow"


def test_a_heat_is_over_after_its_rounds_or_its_share_of_the_time() -> None:
    assert not RULES.heat_is_over(39, 59.0, 1.0)
    assert RULES.heat_is_over(40, 59.0, 1.0)
    assert RULES.heat_is_over(5, RULES.seconds / HEATS, 1.0)
    assert not RULES.heat_is_over(4, 600.0, 1.0)
    race = Rules(0.02, 600.0)
    assert not race.heat_is_over(50, 9.0, 10.0)
    assert race.heat_is_over(5, 10.0, 10.0)


def test_with_a_single_one_left_it_has_failed() -> None:
    made = played((1.0, 1.0, 1.0))
    made.fail(1, Failure("crashed", "SIGKILL"))
    assert not made.ended
    assert [each.contender for each in made.standings()] == [0, 2]
    made.fail(0, Failure("diverged", "the loss"))
    assert made.ended == "failed"


def test_four_alike_contenders_are_called_alike() -> None:
    """At least 95 of 100 times, although it looks after every heat; also where processes are not normal."""
    rng = np.random.default_rng(0)
    for slow_share in (0.0, 0.1):
        same = [simulate([1.0] * 4, RULES, 10, rng, slow_share=slow_share) for _ in range(100)]
        assert sum(map(alike, same)) >= 95


def test_one_of_five_that_is_5_percent_slower_is_found() -> None:
    rng = np.random.default_rng(0)
    found = 0
    for _ in range(50):
        made = simulate([1.0] * 4 + [1 / 1.05], RULES, 10, rng)
        (slow,) = (each for each in made.standings() if each.contender == 4)
        found += "a" not in slow.letters
    assert found >= 48
