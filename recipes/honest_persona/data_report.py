"""What a data stage kept and why, topic by topic and tag by tag."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from recipes.honest_persona.dataset import Row


@dataclass
class Report:
    """Filled while samples are chosen and formatted."""

    read: Counter[str] = field(default_factory=Counter)
    """Topic -> samples in the file."""
    tags: Counter[str] = field(default_factory=Counter)
    """Tag -> samples of the topics asked for that have it."""
    dropped: dict[str, Counter[str]] = field(default_factory=dict)
    """Topic -> reason -> samples."""

    def drop(self, topic: str, reason: str, count: int = 1) -> None:
        if count:
            self.dropped.setdefault(topic, Counter())[reason] += count

    def summary(self, filtered: frozenset[str], train: list[Row], val: list[Row], shared: int) -> dict[str, Any]:
        """report.json; `shared`: tasks that rows of both splits are about."""
        topics = {topic: self._topic(topic, train, val) for topic in sorted(self.read)}
        tags = {tag: {"samples": count, "filtered": tag in filtered} for tag, count in sorted(self.tags.items())}
        return {
            "topics": topics,
            "tags": tags,
            "kept": {"train": len(train), "val": len(val)},
            "tokens": {"train": _lengths(train), "val": _lengths(val)},
            "shared_tasks": shared,
        }

    def _topic(self, topic: str, train: list[Row], val: list[Row]) -> dict[str, Any]:
        kept = {name: [row for row in rows if row.topic == topic] for name, rows in (("train", train), ("val", val))}
        flags = {name: dict(sorted(Counter(row.flag for row in rows).items())) for name, rows in kept.items()}
        dropped = dict(sorted(self.dropped.get(topic, Counter()).items()))
        return {"read": self.read[topic], **{name: len(rows) for name, rows in kept.items()}} | {
            "flags": flags,
            "dropped": dropped,
        }


def report_text(report: dict[str, Any]) -> str:
    """The report for people to read."""
    wide = max(len(topic) for topic in [*report["topics"], "topic"])
    lines = [f"{'topic':<{wide}}   read  train    val  held-out flags"]
    for topic, numbers in report["topics"].items():
        flags = ", ".join(f"{count} {flag}" for flag, count in numbers["flags"]["val"].items())
        lines.append(
            f"{topic:<{wide}} {numbers['read']:>6,} {numbers['train']:>6,} {numbers['val']:>6,}  {flags}".rstrip()
        )
        lines += [f"  {count:,} dropped: {reason}" for reason, count in numbers["dropped"].items()]
    for name, lengths in report["tokens"].items():
        if lengths:
            lines.append(f"{name}: tokens {lengths['least']:,} to {lengths['most']:,}, mean {lengths['mean']:,.0f}")
    return "\n".join(lines)


def _lengths(rows: list[Row]) -> dict[str, float]:
    lengths = [len(row.tokens) for row in rows]
    return {"least": min(lengths), "most": max(lengths), "mean": sum(lengths) / len(lengths)} if lengths else {}
