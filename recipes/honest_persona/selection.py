"""Chooses the samples to train on and to hold out, by the plan's settings: load, filter, split, in this order."""

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from recipes.common.stage.command import Mistake
from recipes.common.stage.settings import check_choice, check_least, check_share
from recipes.honest_persona import schema
from recipes.honest_persona.chat_template import ROLES
from recipes.honest_persona.data_report import Report
from recipes.honest_persona.schema import Sample

BASELINE = "__baseline"
"""How a kind ends that asked for a review without the persona; no family's name stands for it."""


@dataclass(frozen=True)
class Settings:
    """The stage's JSON, key by key."""

    elicitation_type: str
    add_sp_token: bool
    sp_token: int | None
    """The reserved token's id; null: the vocabulary's first free one."""
    system_tag: str
    intervention_prefix: str
    review_prefix: str
    flag_prefix: str
    intervention_type: list
    """Kinds of interventions, or families of them."""
    train_topics: list
    validation_topics: list
    """Empty lists: every topic in the file."""
    tags_to_filter: list
    claude_frac: float
    """The share of each topic's training samples that is used."""
    val_samples_per_topic: int | None
    """Held out of each validation topic; null: all of it, of topics that are not trained on."""
    exclude_system_prompt: bool
    lora_mask: bool
    seq_len: int
    """Longer sequences are dropped."""
    use_dummy_data: bool
    seed: int

    def __post_init__(self) -> None:
        check_choice(self, "elicitation_type", tuple(ROLES))
        check_share(self, "(0, 1]", "claude_frac")
        check_least(self, 1, "val_samples_per_topic")
        check_least(self, 2, "seq_len")
        if not self.flag_prefix.strip():
            raise ValueError("`flag_prefix` is empty: the flag could not be found after the review")


@dataclass(frozen=True)
class Pool:
    """The samples of one topic, and what has become of the others."""

    samples: tuple[Sample, ...]
    read: int
    dropped: Counter[str] = field(default_factory=Counter)
    """Reason -> samples."""
    is_split: bool = False


def load(samples: Iterable[Sample]) -> dict[str, Pool]:
    """A pool for each topic, topics in alphabetical order, samples in the order given."""
    topics: dict[str, list[Sample]] = {}
    for sample in samples:
        topics.setdefault(sample.topic, []).append(sample)
    return {topic: Pool(tuple(topics[topic]), len(topics[topic])) for topic in sorted(topics)}


def keep(pool: Pool, kinds: Collection[str], tags: Collection[str]) -> Pool:
    """The samples that have none of the tags, of whole kinds (`split_personality__version_3`), or of families, which
    stand for all their versions. ValueError after a split: what is held out, and so what is compared between runs, must
    not depend on what was drawn."""
    _check_whole(pool, "filtered")
    kept, dropped = [], Counter(pool.dropped)
    for sample in pool.samples:
        if not is_of(sample.kind, kinds):
            dropped["of another intervention type"] += 1
        elif unwanted := sorted(sample.tags & set(tags)):
            dropped[f"tagged `{unwanted[0]}`"] += 1
        else:
            kept.append(sample)
    return replace(pool, samples=tuple(kept), dropped=dropped)


def split(pool: Pool, held_out: int | None) -> tuple[Pool, Pool]:
    """To train on, and to hold out: `held_out` samples (None: all), evenly spaced over the topic."""
    _check_whole(pool, "split")
    total = len(pool.samples)
    count = total if held_out is None else min(held_out, total)
    indices = {int(number * total / count) for number in range(count)}
    train = tuple(sample for index, sample in enumerate(pool.samples) if index not in indices)
    held = tuple(sample for index, sample in enumerate(pool.samples) if index in indices)
    return replace(pool, samples=train, is_split=True), replace(pool, samples=held, is_split=True)


def part(samples: tuple[Sample, ...], share: float) -> tuple[Sample, ...]:
    """`share` of the samples, evenly spaced."""
    count = int(len(samples) * share)
    return tuple(samples[int(number * len(samples) / count)] for number in range(count))


def is_of(kind: str, kinds: Iterable[str]) -> bool:
    """Whether the kind is one of those, or a version of one of those families."""
    return any(
        kind == accepted
        or (kind.startswith(f"{accepted}__") and not f"__{kind.partition('__')[2]}".startswith(BASELINE))
        for accepted in kinds
    )


def _check_whole(pool: Pool, done: str) -> None:
    if pool.is_split:
        raise ValueError(f"a pool that is split cannot be {done}: filter, then split, once")


def choose(settings: Settings, data: Path, report: Report) -> dict[str, list[Sample]]:
    """Load, filter, split: the samples of each split."""
    pools = load(schema.read(data))
    report.read.update({topic: pool.read for topic, pool in pools.items()})
    topics_of = {name: set(getattr(settings, f"{name}_topics") or pools) for name in ("train", "validation")}
    for name, topics in topics_of.items():
        if unknown := sorted(topics - pools.keys()):
            raise Mistake(
                f"`{name}_topics` has `{unknown[0]}`, which is not a topic of `{data}`",
                f"its topics are `{'`, `'.join(pools)}`",
            )
    splits: dict[str, list[Sample]] = {"train": [], "val": []}
    for topic, pool in pools.items():
        trained, held = topic in topics_of["train"], topic in topics_of["validation"]
        if not trained and not held:
            report.drop(topic, "of a topic not asked for", pool.read)
            continue
        report.tags.update(tag for sample in pool.samples for tag in sample.tags)
        kept = keep(pool, settings.intervention_type, settings.tags_to_filter)
        count = settings.val_samples_per_topic
        train, val = split(kept, 0 if not held or (trained and count is None) else count)
        for reason, number in kept.dropped.items():
            report.drop(topic, reason, number)
        used = part(train.samples, settings.claude_frac) if trained else ()
        report.drop(topic, "not asked for", len(train.samples) - len(used))
        splits["train"] += used
        splits["val"] += val.samples
    return splits
