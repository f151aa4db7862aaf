import pytest

from launcher.report.html import Html, fold, join, pairs, table, tag, text


@pytest.mark.parametrize(
    ("given", "safe"),
    [
        ("<script>", "&lt;script&gt;"),
        ("\"'&", "&quot;&#x27;&amp;"),
        ("&lt;", "&amp;lt;"),
        ("a\x00b\x1b[1m\ud800", "a�b�[1m�"),
        ("tab\tline\n", "tab\tline\n"),
        (None, "None"),
        (0.5, "0.5"),
    ],
)
def test_any_value_becomes_text(given, safe):
    assert text(given) == safe


def test_what_is_no_markup_is_escaped_wherever_it_is_put():
    assert tag("p", "<b>", tag("i", "&")) == "<p>&lt;b&gt;<i>&amp;</i></p>"
    assert tag("p", title='"><script>') == '<p title="&quot;&gt;&lt;script&gt;"></p>'
    assert join("<", Html("<br/>")) == "&lt;<br/>"
    assert type(join("a")) is Html


def test_attributes_are_written_in_python_s_words():
    assert tag("input_", class_="a", data_x=1, hidden=True, off=False, none=None) == (
        '<input_ class="a" data-x="1" hidden></input_>'
    )
    assert tag("path", d="M0 0") == '<path d="M0 0"/>'


def test_what_is_empty_is_nothing():
    assert table(("a",), []) == pairs(("a", "")) == fold("a", "") == ""


def test_a_table_s_first_column_names_its_rows():
    found = table(("", "x"), [("<a>", "1")])
    assert "<tr><th>&lt;a&gt;</th><td>1</td></tr>" in found
    assert '<table class="numbers">' in found and "class" not in table(("a",), [("b",)], False).partition("<table")[2]
