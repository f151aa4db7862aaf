import pytest

from launcher.errors import LaunchError, did_you_mean


def test_an_error_reads_as_error_blank_line_hint():
    problem = LaunchError("`a` is wrong", "write `b`")
    assert str(problem) == "error: `a` is wrong\n\nhint: write `b`"
    assert problem.code == 2


@pytest.mark.parametrize(
    ("word", "known", "hint"),
    [
        ("warmpu", ["model", "warmup"], "did you mean `warmup`?"),
        ("x", ["b", "a"], "choose one of `a`, `b`"),
        ("x", [], "there is none to choose from"),
        ("q", [f"name{number:02}" for number in range(17)], None),
    ],
)
def test_a_hint_names_what_was_probably_meant(word, known, hint):
    found = did_you_mean(word, known)
    if hint is None:
        assert found.count("`") == 6
        hint = found
    assert found == hint
