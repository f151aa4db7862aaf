"""`launcher doctor`, `report` and `compare`, as commands."""

import json
import re


def test_a_failed_run_is_explained(toy):
    toy.launcher("launch", "toy-tiny", "--set", "sum.fault=kill@3")
    done = toy.launcher("doctor", "toy-tiny")
    assert (done.returncode, done.stderr) == (0, "")
    lines = [line.rstrip() for line in done.stdout.splitlines()]
    assert lines[:2] == [
        "run toy-tiny  failed in sum, step 3 of 8",
        "cause     the machine ran out of memory (RAM, not the GPU's)",
    ]
    assert re.fullmatch(r"evidence  runs/.store/toy-tiny/node.log:\d+", lines[2])
    assert lines[-1] == "next      launcher launch --resume toy-tiny"


def test_without_a_name_the_newest_run_is_explained_and_the_installation_is_looked_at(toy):
    assert "cause" not in toy.launcher("doctor").stdout
    toy.launcher("launch", "toy-tiny", "--set", "sum.fault=exit@2")
    done = toy.launcher("doctor")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(
        "run toy-tiny  failed in sum, step 2 of 8\ncause     stage `sum`: the fault was asked for"
    )
    assert "\nhelps     do not ask for it" in done.stdout
    assert "\n\nok       python: " in done.stdout


def test_a_finished_run_needs_no_explanation(toy):
    toy.finish(stages="short")
    done = toy.launcher("doctor", "toy-tiny")
    assert (done.returncode, done.stdout) == (0, "run toy-tiny is finished: it did not fail\n")


def test_a_run_that_is_not_there_is_answered_with_the_right_one(toy):
    toy.finish(stages="short")
    for words in (["doctor", "toy-tni"], ["report", "toy-tni"], ["compare", "toy-tiny", "toy-tni"]):
        done = toy.launcher(*words)
        assert (done.returncode, done.stderr) == (
            2,
            "error: there is no run `toy-tni`\n\nhint: did you mean `toy-tiny`?\n",
        )


def test_a_doctor_for_a_cloud_that_has_none(toy):
    done = toy.launcher("doctor", "--cloud", "runpod")
    assert (done.returncode, done.stderr) == (
        2,
        "error: `doctor --cloud runpod` does not exist\n\nhint: `doctor --cloud` works only for slurm\n",
    )


def test_a_report_is_a_page_beside_what_came_home(toy, tmp_path):
    toy.finish(stages="short")
    done = toy.launcher("report")
    place = toy.home().path / "report.html"
    assert (done.returncode, done.stdout) == (0, f"wrote {place}\n")
    text = place.read_text()
    assert text.startswith("<!doctype html>") and '<span class="name">total</span>' in text
    other = tmp_path / "there/page.html"
    assert toy.launcher("report", "toy-tiny", "--out", str(other)).stdout == f"wrote {other}\n"
    assert other.exists()


def test_two_runs_are_compared_at_80_columns(toy):
    toy.launcher("launch", "toy-tiny", "--stages", "short")
    toy.launcher("launch", "toy-tiny", "--stages", "short", "--run", "other", "--set", "batch=4")
    done = toy.launcher("compare", "toy-tiny", "other")
    assert done.returncode == 0, done.stderr
    lines = [line.rstrip() for line in done.stdout.splitlines()]
    assert max(map(len, lines)) <= 80
    assert lines[0].split() == ["toy-tiny", "other"]
    at = lines.index("differences")
    assert [line.split() for line in lines[at + 1 : at + 3]] == [
        ["sum", "batch", "8", "4"],
        ["sum", "steps", "8", "16"],
    ]
    total = str(json.loads((toy.folder().stage("sum").done).read_text())["metrics"]["total"])
    assert ["sum", "total", total, total] in [line.replace(",", "").split() for line in lines]
