"""A competency profile: a field, and what somebody can do in it. Text in, profile out. Pure."""

import re
from dataclasses import dataclass

START = "Domain:"
"""What every profile begins with, and a writer is given to begin with."""
FEWEST, MOST = 3, 8
LONGEST = 150
"""Characters of a competency's name or of a domain: what is longer is a sentence."""
DOMAIN = re.compile(r"^\s*Domain:[ \t]*(.*)$", re.MULTILINE)
ITEM = re.compile(r"^\s*[-*•][ \t]+(.+?):[ \t]+(\S.*)$")
QUOTES = "\"'“”„`*"


@dataclass(frozen=True)
class Profile:
    domain: str
    competencies: tuple[tuple[str, str], ...]
    """(name, description), 3 to 8 of them."""

    def text(self) -> str:
        """The one way in which it is written."""
        items = "\n".join(f"- {name}: {description}" for name, description in self.competencies)
        return f'Domain: "{self.domain}"\n\nCompetencies:\n{items}'


def parse(text: str) -> Profile | str:
    """The profile in the text, or what it lacks, in a few words. What comes after the list is left out."""
    match = DOMAIN.search(text)
    if not match:
        return "no domain"
    domain = match[1].strip().strip(QUOTES).strip()
    if not domain or len(domain) > LONGEST:
        return "an empty domain" if not domain else "a domain that is a text"
    _, heading, rest = text[match.end() :].partition("Competencies:")
    if not heading:
        return "no list of competencies"
    items = _items(rest)
    if len(items) < FEWEST:
        return f"fewer than {FEWEST} competencies"
    if len(items) > MOST:
        return f"more than {MOST} competencies"
    if len({name.casefold() for name, _ in items}) < len(items):
        return "a competency twice"
    return Profile(domain, tuple(items))


def _items(text: str) -> list[tuple[str, str]]:
    """The lines of the list, up to the first that is none."""
    items: list[tuple[str, str]] = []
    for line in text.splitlines():
        match = ITEM.match(line)
        name = match[1].strip(QUOTES + " ") if match else ""
        if match and 0 < len(name) <= LONGEST:
            items.append((name, match[2].strip()))
        elif items and line.strip():
            break
    return items
