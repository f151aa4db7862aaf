"""Values, texts and bytes that nobody would write by hand, made from ones that somebody would."""

import copy
import json
import os

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from tests.support.patience import patience

MORE = int(os.environ.get("FUZZ") or (50 if os.environ.get("FAULTS") == "all" else 1))
"""How many times as much is tried: 50 with `FAULTS=all` (`make faults`), N with `FUZZ=N`."""

DEEP: list = []
for _ in range(40):
    DEEP = [DEEP]

NAMES = (
    *("", " ", ".", "..", "../../planted", "/planted", "~/planted", "a/../../../planted", "a//b", "\0", "a\0b", "-rf"),
    *(
        "--upload-pack=touch planted",
        "$(touch planted)",
        "`touch planted`",
        "; touch planted",
        "a\nb",
        "a\rb",
        "\x1b[2J",
    ),
    *("\ud800", "\udcff", "\u202e", "é", "😀", "a" * 5000, "NaN", "null", "{out}", "{input.train}", "{nothing}", "{"),
    *("1e999", "0x_", "1:1:1", "on", "<<", "=", "<script>alert(1)</script>", "&amp;", "%s", "[bold]x[/bold]", "²", "٣"),
)
"""Of keys and values alike: `planted` is what must never exist."""
NUMBERS = (0, 1, -1, 2**31, 2**63, 10**400, -(10**30), 0.5, 1e308, 1e-320, float("nan"), float("inf"), float("-inf"))
OTHERS = (None, True, False, [], {}, [None], [[]], {"": {}}, {"a": 1}, DEEP, [3, "x"], {"value": float("nan")})

shared = st.sampled_from((*NAMES, *NUMBERS, *OTHERS))
odd = shared.map(copy.deepcopy) | st.integers() | st.floats() | st.text(max_size=12)
"""Values of its own each time: who draws one may change it."""


def trials(count, deadline=10_000):
    """Hypothesis' settings for a test that takes `count` examples in CI; `deadline` in ms of an idle machine, an
    example's."""
    quiet = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large]
    return settings(
        max_examples=count * MORE, deadline=deadline and patience(deadline), suppress_health_check=quiet, database=None
    )


def places(value, path=()):
    """The path of each value inside a value, its own first."""
    yield path
    for key, child in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from places(child, (*path, key))


@st.composite
def mutated(draw, value, most=3):
    """The value with up to `most` places of it changed: left out, renamed, replaced, doubled, put where another was."""
    value = copy.deepcopy(value)
    for _ in range(draw(st.integers(1, most))):
        path = draw(st.sampled_from(list(places(value))))
        if not path:
            value = draw(st.just(value) if draw(st.integers(0, 9)) else odd)
            continue
        *above, last = path
        inside = value
        for key in above:
            inside = inside[key]
        kind = draw(st.sampled_from(("drop", "replace", "replace", "rename", "double", "swap")))
        if kind == "drop":
            del inside[last]
        elif kind == "replace":
            inside[last] = draw(odd)
        elif kind == "rename" and isinstance(inside, dict):
            inside[draw(st.sampled_from(NAMES))] = inside.pop(last)
        elif kind == "double" and isinstance(inside, list):
            inside.append(copy.deepcopy(inside[last]))
        else:
            other = value
            for key in draw(st.sampled_from(list(places(value)))):
                other = other[key]
            inside[last] = copy.deepcopy(other)
    return value


SPLICES = (
    *(
        "\n",
        "\t",
        "*a",
        "&a ",
        "&a [*a]",
        "<<: *a",
        "!!int x",
        "!!python/object:os.system ",
        "---\n",
        "...\n",
        "? ",
        ": ",
    ),
    *(
        "[" * 500,
        "{a: " * 200,
        '{"a":' * 2000,
        "- " * 3000,
        "\ufeff",
        "\0",
        "\x85",
        "\u2028",
        "9" * 5000,
        "0x_",
        ".nan",
    ),
    *(
        '"',
        "'",
        "|",
        ">",
        "%YAML 9.9\n",
        "# ",
        ",",
        "]",
        "}",
        "1" + ":59" * 500,
        "\\ud800",
        "Infinity",
        "-",
        "²",
        "٣",
        "|",
    ),
)


@st.composite
def spliced(draw, text):
    """The text with pieces put in, cut out, or said twice."""
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(text)))
        end = draw(st.integers(start, min(len(text), start + 40)))
        kind = draw(st.sampled_from(("put", "cut", "twice", "end")))
        if kind == "put":
            text = text[:start] + draw(st.sampled_from(SPLICES) | st.text(max_size=6)) + text[start:]
        elif kind == "cut":
            text = text[:start] + text[end:]
        elif kind == "twice":
            text = text[:end] + text[start:]
        else:
            text = text[:start]
    return text


@st.composite
def damaged(draw, data):
    """The bytes with some flipped, cut off, or put in."""
    data = bytearray(data)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(0, len(data) - 1)))
        kind = draw(st.sampled_from(("flip", "flip", "cut", "put")))
        if kind == "flip" and data:
            data[at] ^= draw(st.integers(1, 255))
        elif kind == "cut":
            del data[at:]
        else:
            data[at:at] = draw(st.binary(max_size=9) | st.sampled_from([b"\xff" * 8, b"\0" * 8, b"\x7f" * 8]))
    return bytes(data)


def as_json(value):
    """As Python's json writes it: NaN, whatever depth, half surrogate pairs as `\\ud800`."""
    return json.dumps(value)


def written(text):
    """The bytes of a text that may hold what no text can."""
    return text.encode(errors="surrogatepass")
