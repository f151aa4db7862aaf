"""Which rows were dropped and why, with examples: counts that add up to what came in."""

from dataclasses import dataclass, field
from typing import Any

EXAMPLES = 3
"""Of each reason."""
SHOWN = 160
"""Characters of an example."""


@dataclass
class Drops:
    """`rows` came in; each was kept, or dropped for one reason."""

    rows: int
    kept: int = 0
    reasons: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    def drop(self, row: dict[str, Any], reason: str) -> None:
        """The row is not among the kept."""
        self.reasons.setdefault(reason, []).append(row)

    @property
    def counts(self) -> dict[str, int]:
        """Reason -> rows, the most frequent first."""
        return {
            reason: len(rows)
            for reason, rows in sorted(self.reasons.items(), key=lambda item: (-len(item[1]), item[0]))
        }

    def check(self) -> None:
        """Raises where a row was lost."""
        if self.kept + sum(self.counts.values()) != self.rows:
            raise AssertionError(f"{self.rows} rows came in, {self.kept} kept, dropped {self.counts}")

    def json(self) -> dict[str, Any]:
        """What report.json holds."""
        return {"rows": self.rows, "kept": self.kept, "dropped": self.counts}

    def table(self) -> str:
        """The counts and the examples, in Markdown."""
        lines = ["| | rows | share |", "|---|---:|---:|", self._line("came in", self.rows)]
        lines += [self._line(f"dropped: {reason}", count) for reason, count in self.counts.items()]
        lines += [self._line("kept", self.kept), ""]
        for reason in self.counts:
            lines.append(f"**{reason}**\n")
            lines += [f"- `{row['index']}` {_short(row)}" for row in self.reasons[reason][:EXAMPLES]]
            lines.append("")
        return "\n".join(lines)

    def _line(self, name: str, count: int) -> str:
        return f"| {name} | {count:,} | {count / max(1, self.rows):.1%} |"


def _short(row: dict[str, Any]) -> str:
    """A row on one line, that Markdown leaves as it is."""
    parts = [str(row["instruction"])]
    if "response" in row:
        parts.append(str(row["response"]))
    return " → ".join(_cut(part) for part in parts)


def _cut(text: str) -> str:
    line = " ".join(text.split()).replace("`", "'").replace("|", "¦")
    return f"`{line[:SHOWN]}{'...' if len(line) > SHOWN else ''}`" if line else "(empty)"
