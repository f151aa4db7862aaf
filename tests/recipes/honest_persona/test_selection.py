"""Samples are loaded, filtered and split in this order, and the same every time."""

from collections import Counter

import pytest

from recipes.honest_persona.schema import Sample
from recipes.honest_persona.selection import is_of, keep, load, part, split

EVERYTHING = ("split_personality",), frozenset()


def sample(number, topic="a", kind="split_personality__version_3", tags=()):
    identity = f"0/{number}/model/A/{kind}"
    return Sample(topic, identity, "A", kind, "", "T", "S", "I", "R", "PASS", frozenset(tags))


def pool_of(count, **changed):
    return load([sample(number, **changed) for number in range(count)])["a"]


def test_topics_come_in_alphabetical_order_and_samples_in_their_own():
    pools = load([sample(2, "b"), sample(1, "a"), sample(0, "b")])
    assert list(pools) == ["a", "b"]
    assert [one.id.split("/")[1] for one in pools["b"].samples] == ["2", "0"]


def test_a_sample_is_dropped_for_its_kind_or_the_first_of_its_tags_and_counted_once():
    samples = [sample(0), sample(1, tags=["z", "y"]), sample(2, kind="honesty_scare__version_1", tags=["y"])]
    kept = keep(load(samples)["a"], ("split_personality",), {"z", "y"})
    assert [one.id for one in kept.samples] == [samples[0].id]
    assert kept.dropped == Counter({"tagged `y`": 1, "of another intervention type": 1})


def test_filtering_after_a_split_is_an_error_and_so_is_a_second_split():
    train, held = split(pool_of(4), 2)
    for one in (train, held):
        with pytest.raises(ValueError, match="a pool that is split cannot be filtered: filter, then split, once"):
            keep(one, *EVERYTHING)
        with pytest.raises(ValueError, match="a pool that is split cannot be split: filter, then split, once"):
            split(one, 1)


@pytest.mark.parametrize(("total", "count"), [(10, 3), (10, 10), (10, 1), (7, 5), (3, 9), (5, 0)])
def test_what_is_held_out_is_evenly_spaced_and_nothing_is_lost_or_twice(total, count):
    pool = keep(pool_of(total), *EVERYTHING)
    train, held = split(pool, count)
    places = [int(one.id.split("/")[1]) for one in held.samples]
    assert places == sorted({int(number * total / min(count, total)) for number in range(min(count, total))})
    assert sorted([*train.samples, *held.samples], key=lambda one: one.id) == sorted(
        pool.samples, key=lambda one: one.id
    )
    assert not {one.id for one in train.samples} & {one.id for one in held.samples}


def test_all_of_a_topic_can_be_held_out():
    train, held = split(pool_of(5), None)
    assert (len(train.samples), len(held.samples)) == (0, 5)


def test_a_part_is_evenly_spaced():
    samples = pool_of(10).samples
    assert [one.id.split("/")[1] for one in part(samples, 0.3)] == ["0", "3", "6"]
    assert part(samples, 1.0) == samples


@pytest.mark.parametrize(
    ("kind", "wanted", "found"),
    [
        ("split_personality__version_3", "split_personality", True),
        ("split_personality__version_3", "split_personality__version_3", True),
        ("split_personality__version_3", "split_personality__version_4", False),
        ("split_personality__baseline", "split_personality", False),
        ("split_personality__baseline_2", "split_personality", False),
        ("split_personality__baseline", "split_personality__baseline", True),
        ("honesty_scare__version_1", "split_personality", False),
        ("split_personality", "split_personality", True),
    ],
)
def test_a_family_stands_for_its_versions_without_baselines(kind, wanted, found):
    assert is_of(kind, [wanted]) is found
