import pytest

from launcher.runfolder.problem import Problem, closing_error, log_end


@pytest.mark.parametrize(
    ("log", "sentence"),
    [
        ("error: a\n\nhint: b\n", ("a", "b")),
        ("step 1\nerror: a\n\nhint: b", ("a", "b")),
        ("error: old\n\nhint: c\nstep\nerror: new\n\nhint: d\n", ("new", "d")),
        ("error: a\nmore\n\nhint: b\n", ("a\nmore", "b")),
        ("error: a\nhint: b\n", None),
        ("ValueError: a\n\nhint: b\n", None),
        ("error: a\n", None),
        ("", None),
    ],
)
def test_the_last_sentence_of_a_log_is_what_its_program_says(log, sentence):
    assert closing_error(log) == sentence


def test_only_what_was_written_since_and_only_the_end_of_it_is_looked_at(tmp_path):
    log = tmp_path / "log"
    assert log_end(log, 0) == ""
    log.write_bytes(b"before" + b"x" * 9000 + b"\xe9nd")
    assert log_end(log, 9006) == "\ufffdnd"
    assert len(log_end(log, 0)) == 8192
    assert log_end(log, 99999) == ""


def test_a_problem_reads_as_error_blank_line_hint():
    assert str(Problem("a", "b")) == "error: a\n\nhint: b"
    assert Problem("a", "b").code == 3
