"""A disk that is really full: a file system of a few hundred kilobytes."""

import shutil

import pytest

from launcher.runfolder.paths import RunFolder
from tests.support.patience import patience


def move(node, small):
    """The run folder lies on the small file system."""
    target = small / "run"
    shutil.copytree(node.folder.path, target)
    node.folder = RunFolder(target)
    return node


def test_a_stage_that_fills_the_disk_fails_with_a_sentence_and_carries_on_when_there_is_room(toy, small):
    node = move(toy.node("sum.fault=hold@3"), small)
    process = node.start()
    node.at_step("sum", 3)
    small.fill()
    node.go("sum")
    _, errors = process.communicate(timeout=patience(90))
    assert process.returncode == 3, errors
    assert errors.startswith("error: ") and "\n\nhint: make room" in errors
    assert "Traceback" not in errors
    small.free()
    done = node.run()
    assert done.returncode == 0, done.stderr
    assert node.total() == toy.total


def test_a_failure_on_a_disk_that_is_nearly_full_is_put_down_to_it(toy, small):
    node = move(toy.node("sum.fault=kill@2", stages="short"), small)
    done = node.run()
    assert (done.returncode, done.stderr) == (
        3,
        f"error: stage `sum` failed and the disk under {node.folder.stage('sum').path} is full (0 MB free)\n\n"
        "hint: make room, then the same launch command continues the run from the last complete checkpoint\n",
    )


@pytest.mark.parametrize("log", ["full", "elsewhere"])
def test_a_node_program_that_cannot_write_a_line_ends_with_3(toy, small, log):
    """Even its own messages may have no place to go."""
    node = move(toy.node(stages="short"), small)
    node.folder.lock.touch()
    node.folder.node_log.touch()
    small.fill()
    place = node.folder.node_log if log == "full" else toy.root / "node.log"
    with open(place, "a") as file:
        process = node.start(stdout=file, stderr=file)
    assert process.wait(timeout=patience(90)) == 3
    if log == "elsewhere":
        text = place.read_text()
        assert text.startswith("error: no space left for `")
        assert text.endswith("`\n\nhint: make room and launch again: stages that are done are not repeated\n")
    small.free()
    assert node.run().returncode == 0
    assert node.total("sum") == sum(toy.numbers)
