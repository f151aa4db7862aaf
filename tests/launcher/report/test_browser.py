"""The page as a browser sees it: nothing gets out of its text, its curves answer, it is light and dark, and narrow."""

import html
import re
import struct
import zlib
from pathlib import Path

import pytest

from launcher import report
from launcher.report.page import page
from tests.launcher.report.conftest import HOSTILE

OWN = Path(report.__file__).parent
STYLE, SCRIPT = ((OWN / name).read_text() for name in ("style.css", "script.js"))
TELL = """
const first = document.querySelector("figure svg"), box = first.getBoundingClientRect();
first.dispatchEvent(new PointerEvent("pointermove", {clientX: box.right, clientY: box.top + 5}));
const told = (name, value) => document.documentElement.setAttribute("data-" + name, value);
told("hover", first.parentNode.querySelector("output").textContent);
told("dot", first.querySelector(".here").getAttribute("visibility"));
first.dispatchEvent(new PointerEvent("pointerleave"));
told("left", first.parentNode.querySelector("output").textContent);
told("scripts", document.scripts.length);
told("images", document.images.length);
told("wide", document.documentElement.scrollWidth - document.documentElement.clientWidth);
told("title", document.title);
told("curve", getComputedStyle(document.querySelector("path.curve")).stroke);
"""


@pytest.fixture(scope="module")
def seen():
    """What the page told of itself, and its document: asked once for each width."""
    return {}


def look(seen, browser, known, width):
    if width not in seen:
        dom = browser.dom(page(known, STYLE, SCRIPT + TELL, "1"), width)
        told = dict(re.findall(r'data-(\w+)="([^"]*)"', dom.partition(">")[0] + dom.partition("<head")[0]))
        seen[width] = dom, told
    return seen[width]


def test_no_text_of_a_run_becomes_markup(browser, known, seen):
    dom, told = look(seen, browser, known, 1200)
    assert (told["scripts"], told["images"], told["title"]) == ("1", "0", "gad-7b: failed")
    shown = html.unescape(re.sub(r"<[^>]*>", "", dom))
    for text in (
        f"error: stage `train`: {HOSTILE}",
        f"torch.OutOfMemoryError: {HOSTILE}",
        f"d_acc is high {HOSTILE}",
        f"/data/{HOSTILE}.parquet",
        f"runpod {HOSTILE}",
        f"name{HOSTILE}",
    ):
        assert text in shown, text


def test_a_curve_tells_the_value_under_the_pointer_and_its_last_one_again(browser, known, seen):
    _, told = look(seen, browser, known, 1200)
    assert (told["hover"], told["dot"], told["left"]) == ("step 599: 0.01336", "visible", "0.01336")
    assert told["curve"] == "rgb(44, 95, 158)"


@pytest.mark.parametrize("width", [1200, 520])
def test_a_page_is_as_wide_as_its_window(browser, known, seen, width):
    _, told = look(seen, browser, known, width)
    assert told["wide"] == "0"


def test_it_is_light_or_dark_as_the_reader_s_system_is(browser, known):
    text = page(known, STYLE, SCRIPT, "1")
    assert corner(browser.picture(text, 800)) == (255, 255, 255)
    dark = browser.picture(text, 800, "--force-dark-mode", "--blink-settings=preferredColorScheme=0")
    assert corner(dark) == (21, 24, 28)


def corner(png):
    """The colour of the first pixel, to which none of PNG's filters adds anything."""
    at, data = 8, b""
    while at < len(png):
        size, kind = struct.unpack(">I4s", png[at : at + 8])
        data += png[at + 8 : at + 8 + size] if kind == b"IDAT" else b""
        at += size + 12
    return tuple(zlib.decompress(data)[1:4])
