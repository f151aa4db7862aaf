"""Which samples are trained on and which are held out: load, filter, split, in this order and no other."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from recipes.honest_persona.schema import Sample

BASELINE = "__baseline"
"""How a kind ends that asked for a review without the persona; no family's name stands for it."""


@dataclass(frozen=True)
class Pool:
    """The samples of one topic, and what has become of the others."""

    samples: tuple[Sample, ...]
    read: int
    dropped: Counter[str] = field(default_factory=Counter)
    """Reason -> samples."""
    is_split: bool = False


@dataclass(frozen=True)
class Choice:
    """What a sample needs to be kept."""

    kinds: tuple[str, ...]
    """Whole kinds (`split_personality__version_3`), or families, which stand for all their versions."""
    tags: frozenset[str]
    """None of these."""


def load(samples: Iterable[Sample]) -> dict[str, Pool]:
    """A pool for each topic, topics in alphabetical order, samples in the order given."""
    topics: dict[str, list[Sample]] = {}
    for sample in samples:
        topics.setdefault(sample.topic, []).append(sample)
    return {topic: Pool(tuple(topics[topic]), len(topics[topic])) for topic in sorted(topics)}


def keep(pool: Pool, choice: Choice) -> Pool:
    """The samples of the kinds that have none of the tags. ValueError after a split: what is held out, and so what is
    compared between runs, must not depend on what was drawn."""
    _check_whole(pool, "filtered")
    kept, dropped = [], Counter(pool.dropped)
    for sample in pool.samples:
        if not is_of(sample.kind, choice.kinds):
            dropped["of another intervention type"] += 1
        elif found := sorted(sample.tags & choice.tags):
            dropped[f"tagged `{found[0]}`"] += 1
        else:
            kept.append(sample)
    return replace(pool, samples=tuple(kept), dropped=dropped)


def split(pool: Pool, held_out: int | None) -> tuple[Pool, Pool]:
    """To train on, and to hold out: `held_out` samples (None: all), evenly spaced over the topic."""
    _check_whole(pool, "split")
    total = len(pool.samples)
    count = total if held_out is None else min(held_out, total)
    places = {int(number * total / count) for number in range(count)}
    train = tuple(one for place, one in enumerate(pool.samples) if place not in places)
    held = tuple(one for place, one in enumerate(pool.samples) if place in places)
    return replace(pool, samples=train, is_split=True), replace(pool, samples=held, is_split=True)


def part(samples: tuple[Sample, ...], share: float) -> tuple[Sample, ...]:
    """`share` of the samples, evenly spaced."""
    count = int(len(samples) * share)
    return tuple(samples[int(number * len(samples) / count)] for number in range(count))


def is_of(kind: str, wanted: Iterable[str]) -> bool:
    """Whether the kind is one of those, or a version of one of those families."""
    return any(
        kind == one or (kind.startswith(f"{one}__") and not f"__{kind.partition('__')[2]}".startswith(BASELINE))
        for one in wanted
    )


def _check_whole(pool: Pool, done: str) -> None:
    if pool.is_split:
        raise ValueError(f"a pool that is split cannot be {done}: filter, then split, once")
