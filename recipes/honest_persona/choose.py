"""Which samples of a file are trained on and which are held out, by the settings."""

from pathlib import Path

from recipes.common.stage.command import Mistake
from recipes.honest_persona import pool, schema
from recipes.honest_persona.data_report import Report, count_tags
from recipes.honest_persona.pool import Choice
from recipes.honest_persona.schema import Sample
from recipes.honest_persona.selection import Settings


def choose(settings: Settings, data: Path, report: Report) -> dict[str, list[Sample]]:
    """Load, filter, split: the samples of each split."""
    pools = pool.load(schema.read(data))
    report.read.update({topic: one.read for topic, one in pools.items()})
    wanted = {name: set(getattr(settings, f"{name}_topics") or pools) for name in ("train", "validation")}
    for name, topics in wanted.items():
        if unknown := sorted(topics - pools.keys()):
            raise Mistake(
                f"`{name}_topics` has `{unknown[0]}`, which is no topic of `{data}`",
                f"its topics are `{'`, `'.join(pools)}`",
            )
    choice = Choice(tuple(settings.intervention_type), frozenset(settings.tags_to_filter))
    found: dict[str, list[Sample]] = {"train": [], "val": []}
    for topic, one in pools.items():
        trained, held = topic in wanted["train"], topic in wanted["validation"]
        if not trained and not held:
            report.drop(topic, "of a topic not asked for", one.read)
            continue
        count_tags(report, one.samples)
        kept = pool.keep(one, choice)
        count = settings.val_samples_per_topic
        train, val = pool.split(kept, 0 if not held or (trained and count is None) else count)
        for reason, number in kept.dropped.items():
            report.drop(topic, reason, number)
        used = pool.part(train.samples, settings.claude_frac) if trained else ()
        report.drop(topic, "not asked for", len(train.samples) - len(used))
        found["train"] += used
        found["val"] += val.samples
    return found
