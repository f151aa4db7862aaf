"""SIGKILL of the trainer, of the node program, of everything at once, in each phase; then the same command again."""

import json
import os
import signal

import pytest

from tests.support.chance import SEED, some

EXACT = ("critic/d_loss", "actor/loss", "actor/kl", "response_length")
"""What has to come out the same as in a run that nobody disturbed."""

SAVE_EVERY = 2
KILLED = some(("trainer", "node", "everything"), 1)
"""What is killed in the middle of a whole run; the last is tests/integration/rehearsal/test_slurm.py's."""


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


def torn_conversion(place):
    part = place.store / "stages/convert/.out.part"
    return part if (part / "model.safetensors").exists() else None


def disturbed(place, moment, victim):
    """Starts, kills the victim at the moment, and sees that nothing of the run is left."""
    process = place.start()
    place.wait(moment)
    kill(place, victim)
    process.communicate()
    assert process.returncode not in (0, 1, 2)
    place.wait(lambda: not place.tree(), 60)


def goes_on_to_the_same_end(place, finished, attempts):
    done = place.rehearse()
    assert done.returncode == 0, done.stdout + done.stderr
    assert not {one["stage"] for one in place.events("stage.started")} & {"model", "data"}
    for name in ("warmup", "adversarial"):
        before, after = finished.steps(name), place.steps(name)
        assert after.keys() == before.keys()
        for step, metrics in before.items():
            for key in EXACT:
                if key in metrics:
                    assert after[step][key] == pytest.approx(metrics[key], rel=1e-4, abs=1e-5), (name, step, key)
    assert {name: place.done(name)["attempt"] for name in attempts} == attempts
    assert place.done("verify")["metrics"]["largest_difference"] == 0


def repeated(place, stage):
    """How many steps were done twice."""
    lines = (place.store / "stages" / stage / "work/progress.jsonl").read_text().splitlines()
    steps = [one["step"] for one in map(json.loads, lines) if "metrics" in one]
    return len(steps) - len(set(steps))


@pytest.mark.parametrize("victim", KILLED, ids=[f"{victim}-seed-{SEED}" for victim in KILLED])
def test_a_run_that_is_killed_in_every_phase_comes_to_the_same_end(until, finished, victim):
    """One run, killed in warmup, in adversarial, while a checkpoint is written and in conversion; after each kill the
    same command again."""
    place = until("warmup")
    disturbed(place, lambda: reached(place, "warmup", 3), victim)
    disturbed(place, lambda: reached(place, "adversarial", 3), victim)
    assert repeated(place, "warmup") <= SAVE_EVERY
    disturbed(place, lambda: half_written(place, "adversarial"), victim)
    assert half_written(place, "adversarial"), "the kill came too late to tear a checkpoint"
    disturbed(place, lambda: torn_conversion(place), victim)
    assert torn_conversion(place), "the kill came too late to tear the conversion"
    assert repeated(place, "adversarial") <= 2 * SAVE_EVERY
    goes_on_to_the_same_end(place, finished, {"warmup": 2, "reference": 1, "adversarial": 3, "convert": 2, "verify": 1})
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
        "hint: the same launch command continues the run from the last complete checkpoint\n"
    )
    assert not place.tree()
    goes_on_to_the_same_end(place, finished, {"adversarial": 2})
    assert repeated(place, "adversarial") == 0
