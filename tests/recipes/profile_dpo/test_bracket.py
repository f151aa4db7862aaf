"""Every bracket for n = 2 to 33 against brute force: what comparisons, preferences and rounds come to."""

import itertools
import random

import pytest

from recipes.profile_dpo.bracket import Result, advance, draw, expected_preferences, matches, pairs, preferences, rounds

ALL_NAMED = 9
"""Up to so many players every outcome is played as it is: 2^(n-1) of them."""


def play(players, wins):
    """The results when `wins` says of each match whether its first player wins."""
    standing, results, wins = list(range(players)), [], iter(wins)
    byes = []
    while len(standing) > 1:
        byes.append(standing[-1] if len(standing) % 2 else None)
        met = pairs(standing)
        found = [Result(*(pair if next(wins) else pair[::-1])) for pair in met]
        results += found
        standing = advance(standing, [one.winner for one in found])
    return results, byes


def closure(results):
    """Everyone who is better than another by any chain of matches, by Warshall's algorithm."""
    better = {(one.winner, one.loser) for one in results}
    players = {player for pair in better for player in pair}
    for middle, first, last in itertools.product(players, repeat=3):
        if (first, middle) in better and (middle, last) in better:
            better.add((first, last))
    return better


def check(players, results):
    found = [(one.better, one.worse) for one in preferences(results)]
    assert len(results) == players - 1
    assert len(found) == len(set(found)), "a pair twice"
    assert all(one != other for one, other in found), "a player against itself"
    assert set(found) == closure(results)
    return len(found)


def outcomes(players):
    """One outcome of each kind: two are alike when a renaming of the players makes them the same. A player who stands
    is the tree of those below; two equal trees meeting need one outcome, and so do two that met before."""

    def shape(tree):
        return tuple(sorted(map(shape, tree[1])))

    todo, seen, done = [(tuple((number, ()) for number in range(players)), ())], set(), []
    while todo:
        standing, results = todo.pop()
        if len(standing) == 1:
            done.append(results)
            continue
        met = pairs(standing)
        choices = [((a, b),) if shape(a) == shape(b) else ((a, b), (b, a)) for a, b in met]
        for chosen in itertools.product(*choices):
            winners = [(a[0], (*a[1], b)) for a, b in chosen]
            after = tuple(advance(standing, winners))
            key = tuple(map(shape, after))
            if key not in seen:
                seen.add(key)
                todo.append((after, (*results, *(Result(a[0], b[0]) for a, b in chosen))))
    return done


@pytest.mark.parametrize("players", range(2, ALL_NAMED + 1))
def test_every_outcome_gives_the_transitive_closure(players):
    counts = [check(players, play(players, wins)[0]) for wins in itertools.product([0, 1], repeat=players - 1)]
    assert sum(counts) / len(counts) == pytest.approx(expected_preferences(players))
    kinds = {check(players, results) for results in outcomes(players)}
    assert kinds == set(counts), "the kinds of outcomes below are all there are"


@pytest.mark.parametrize("players", range(2, 34))
def test_every_kind_of_outcome_gives_the_transitive_closure(players):
    counts = {check(players, results) for results in outcomes(players)}
    assert min(counts) <= expected_preferences(players) <= max(counts)
    if players & (players - 1) == 0:
        assert counts == {players // 2 * (players.bit_length() - 1)}


@pytest.mark.parametrize("players", range(2, 34))
def test_any_order_and_any_result_gives_the_transitive_closure(players):
    chance = random.Random(players)
    for _ in range(20):
        results, byes = play(players, [chance.random() < 0.5 for _ in range(players)])
        check(players, results)
        assert len(byes) == rounds(players)
        waited = [one for one in byes if one is not None]
        assert all(one != other for one, other in itertools.pairwise(byes) if one is not None), (
            "nobody waits twice running"
        )
        assert not {one for one in waited if sum(one in (r.winner, r.loser) for r in results) == 0}


@pytest.mark.parametrize(("players", "comparisons", "found"), [(2, 1, 1), (4, 3, 4), (8, 7, 12), (16, 15, 32)])
def test_the_numbers_of_the_planning_notes(players, comparisons, found):
    assert (sum(matches(players)), expected_preferences(players)) == (comparisons, found)
    assert check(players, play(players, [1] * players)[0]) == found


def test_one_player_needs_no_match():
    assert (pairs([0]), rounds(1), matches(1), preferences([]), expected_preferences(1)) == ([], 0, [], [], 0)


def test_a_preference_that_hangs_on_a_coin_says_so():
    found = preferences([Result(0, 1, True), Result(2, 3, False), Result(0, 2, True)])
    decided = {(one.better, one.worse): one.decided for one in found}
    assert decided == {(0, 1): True, (2, 3): False, (0, 2): True, (0, 3): False}


def test_a_draw_is_the_seeds():
    assert draw(8, "1:a") == draw(8, "1:a") != draw(8, "1:b")
    assert sorted(draw(8, "1:a")) == list(range(8))
