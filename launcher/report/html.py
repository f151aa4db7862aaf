"""Markup in which everything that is not markup is escaped. Pure."""

import html
import re
from collections.abc import Sequence

CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
EMPTY = {"br", "meta", "line", "path", "circle", "rect"}


class Html(str):
    """Text that is markup already; only `tag` and `join` make it."""

    __slots__ = ()


def tag(kind: str, /, *inside: str, **attributes: object) -> Html:
    """`<kind ...>inside</kind>`. A trailing `_` of an attribute's name is dropped, other `_` are `-`; True is an
    attribute without a value, None and False are none."""
    words = [kind]
    for key, value in attributes.items():
        key = key.rstrip("_").replace("_", "-")
        if value is True:
            words.append(key)
        elif value is not None and value is not False:
            words.append(f'{key}="{text(value)}"')
    opened = " ".join(words)
    return Html(f"<{opened}/>" if kind in EMPTY else f"<{opened}>{join(*inside)}</{kind}>")


def join(*parts: str) -> Html:
    """One after the other; what is no markup is escaped."""
    return Html("".join(one if isinstance(one, Html) else text(one) for one in parts))


def text(value: object) -> Html:
    """Any value as the text that a reader sees; signs that no reader can see are a replacement sign."""
    return Html(html.escape(CONTROL.sub("�", str(value)), quote=True))


def table(head: Sequence[str], rows: Sequence[Sequence[str]], numbers: bool = True) -> Html:
    """A table that scrolls by itself when it is wide; all columns but the first are numbers unless said otherwise.
    Without rows it is nothing."""
    if not rows:
        return Html("")
    cells = [tag("tr", *(tag("th" if at == 0 else "td", one) for at, one in enumerate(row))) for row in rows]
    top = tag("thead", tag("tr", *(tag("th", one) for one in head)))
    return tag("div", tag("table", top, tag("tbody", *cells), class_="numbers" if numbers else None), class_="wide")


def pairs(*rows: tuple[str, str]) -> Html:
    """Names and what they stand for; rows without a value are left out."""
    kept = [tag("div", tag("dt", name), tag("dd", value)) for name, value in rows if value]
    return tag("dl", *kept) if kept else Html("")


def fold(title: str, inside: str, unfolded: bool = False) -> Html:
    """What is a click away; nothing when there is nothing inside."""
    return tag("details", tag("summary", title), inside, open=unfolded) if inside else Html("")
