"""Markdown, as far as these pages need it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Table:
    """A table with these headings."""

    headings: Sequence[str]

    def of(self, rows: Iterable[Sequence[str]]) -> str:
        lines = [self.headings, ["---"] * len(self.headings), *rows]
        return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in lines)


def page(title: str, *parts: str) -> str:
    """A whole page."""
    note = "<!-- written by `make reference` from the code -->"
    return "\n\n".join([f"# {title}", note, *(part for part in parts if part)]) + "\n"


def code(value: object) -> str:
    return f"`{value}`"


def line(text: str | None) -> str:
    """A docstring as one line."""
    return " ".join((text or "").split())
