"""SIGKILL of the trainer, of the node program, of everything at once, in each phase; then the same command again."""

import json
import os
import signal

import pytest

EXACT = ("critic/d_loss", "actor/loss", "actor/kl", "response_length")
"""What has to come out the same as in a run that nobody disturbed."""

SAVE_EVERY = 2


def kill(place, victim):
    if victim == "trainer":
        os.kill(place.trainer(), signal.SIGKILL)
    elif victim == "node":
        os.kill(place.node(), signal.SIGKILL)
    else:
        place.kill_everything()


def half_written(place, stage):
    """A checkpoint that is being written right now."""
    folders = (place.store / "stages" / stage / "work").glob("global_step_*")
    return next((one for one in folders if any(one.iterdir()) and not (one / "complete.json").exists()), None)


def reached(place, stage, step):
    work = place.store / "stages" / stage / "work/progress.jsonl"
    return work.exists() and max(place.steps(stage), default=0) >= step


def disturbed(place, moment, victim):
    """Starts, kills the victim at the moment, and sees that nothing of the run is left."""
    process = place.start()
    place.wait(moment)
    kill(place, victim)
    process.communicate()
    assert process.returncode not in (0, 1, 2)
    place.wait(lambda: not place.tree(), 15)


def goes_on_to_the_same_end(place, finished, stage):
    done = place.rehearse()
    assert done.returncode == 0, done.stdout + done.stderr
    assert not {one["stage"] for one in place.events("stage.started")} & {"model", "data"}
    for name in ("warmup", "adversarial"):
        if not (place.store / "stages" / name / "work").exists():
            continue
        before, after = finished.steps(name), place.steps(name)
        assert after.keys() == before.keys()
        for step, metrics in before.items():
            for key in EXACT:
                if key in metrics:
                    assert after[step][key] == pytest.approx(metrics[key], rel=1e-4, abs=1e-5), (name, step, key)
    assert place.done(stage)["attempt"] == 2
    for name in ("verify",):
        assert place.done(name)["metrics"]["largest_difference"] == 0


def repeated(place, stage):
    """How many steps were done twice."""
    lines = (place.store / "stages" / stage / "work/progress.jsonl").read_text().splitlines()
    steps = [one["step"] for one in map(json.loads, lines) if "metrics" in one]
    return len(steps) - len(set(steps))


@pytest.mark.parametrize("victim", ["trainer", "node", "everything"])
@pytest.mark.parametrize("stage", ["warmup", "adversarial"])
def test_killed_in_training(until, finished, stage, victim):
    place = until(stage)
    disturbed(place, lambda: reached(place, stage, 3), victim)
    goes_on_to_the_same_end(place, finished, stage)
    assert repeated(place, stage) <= SAVE_EVERY


@pytest.mark.parametrize("victim", ["trainer", "node", "everything"])
def test_killed_while_a_checkpoint_is_written(until, finished, victim):
    place = until("adversarial")
    disturbed(place, lambda: half_written(place, "adversarial"), victim)
    assert half_written(place, "adversarial"), "the kill came too late to tear a checkpoint"
    goes_on_to_the_same_end(place, finished, "adversarial")
    assert repeated(place, "adversarial") <= SAVE_EVERY


@pytest.mark.parametrize("victim", ["trainer", "node", "everything"])
def test_killed_in_conversion(until, finished, victim):
    place = until("convert")
    part = place.store / "stages/convert/.out.part"
    disturbed(place, lambda: (part / "model.safetensors").exists(), victim)
    assert part.exists(), "the kill came too late to tear the conversion"
    goes_on_to_the_same_end(place, finished, "convert")
    before, after = (one.home / "export/model.safetensors" for one in (finished, place))
    assert before.read_bytes() == after.read_bytes()


def test_a_stop_leaves_a_checkpoint_and_the_same_command_goes_on(until, finished):
    place = until("adversarial")
    process = place.start()
    place.wait(lambda: reached(place, "adversarial", 1))
    os.kill(process.pid, signal.SIGINT)
    _, said = process.communicate()
    assert process.returncode == 33
    assert said == (
        "error: stage `adversarial` was interrupted\n\n"
        "hint: the same launch command carries on from the last complete checkpoint\n"
    )
    assert not place.tree()
    goes_on_to_the_same_end(place, finished, "adversarial")
    assert repeated(place, "adversarial") == 0
