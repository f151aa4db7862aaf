"""What is damaged or does not belong is named in a sentence; nothing is silently accepted or done again."""

import shutil

import pytest


def newest(place, stage):
    folders = (place.store / "stages" / stage / "work").glob("global_step_*")
    return max(folders, key=lambda path: int(path.name.rpartition("_")[2]))


def cut(path, size):
    """The file is shorter, and not a hard link to the one it was."""
    data = path.read_bytes()
    path.unlink()
    path.write_bytes(data[:size])


def attempted(place, *words):
    done = place.rehearse(*words)
    return done.returncode, done.stderr


def test_a_truncated_shard_of_a_finished_stage(until):
    place = until("adversarial")
    shard = next((place.store / "stages/warmup/out/actor").glob("model_*.pt"))
    size = shard.stat().st_size
    cut(shard, size // 2)
    code, said = attempted(place)
    assert code == 3
    assert said == (
        f"error: stage `warmup` is done, but `{shard}` has {size // 2:,} bytes (it had {size:,})\n\n"
        "hint: `--redo warmup` does the stage and all that follows again\n"
    )
    assert not (place.store / "stages/adversarial").exists()


def test_a_missing_critic_folder(until):
    place = until("adversarial")
    folder = place.store / "stages/warmup/out/critic"
    first = min(path for path in folder.rglob("*") if path.is_file())
    shutil.rmtree(folder)
    code, said = attempted(place)
    assert code == 3
    assert said.startswith(f"error: stage `warmup` is done, but `{first}` is gone (it had ")


def test_a_truncated_shard_of_the_checkpoint_to_go_on_from(until, finished):
    place = until("convert")
    (place.store / "stages/adversarial/done.json").unlink()
    shard = next((newest(place, "adversarial") / "critic").glob("optim_*.pt"))
    size = shard.stat().st_size
    cut(shard, 100)
    code, said = attempted(place)
    assert code == 3
    assert said.startswith(f"error: stage `adversarial`: `{shard}` has 100 bytes instead of {size:,}\n\nhint: delete `")


def test_a_checkpoint_of_the_other_mode(until):
    place = until("adversarial")
    work = place.store / "stages/adversarial/work"
    work.mkdir(parents=True)
    shutil.copytree(newest(place, "warmup"), work / newest(place, "warmup").name)
    code, said = attempted(place)
    assert code == 3
    assert "was written by mode `warmup`, this stage runs `adversarial`" in said


def test_a_changed_setting_is_named_and_nothing_is_done_again(until):
    place = until("adversarial")
    before = (place.store / "plan.json").read_bytes()
    code, said = attempted(place, "--set", "actor_lr=0.002")
    assert code == 2
    assert said == (
        "error: run `gad-rehearsal` exists with other settings: stage `warmup`: `actor_lr` was `0.001`, is now `0.002`"
        "\n\nhint: `--redo warmup` runs it and what follows again; `--run NAME` starts another run\n"
    )
    assert (place.store / "plan.json").read_bytes() == before
    assert not (place.store / "stages/adversarial").exists()


@pytest.mark.parametrize("side", ["home", "machine"])
def test_a_flipped_byte_in_the_exported_model(until, finished, side):
    place = until("verify")
    assert place.rehearse().returncode == 0
    model = (place.home if side == "home" else place.store) / "export/model.safetensors"
    data = bytearray(model.read_bytes())
    data[-5] ^= 1
    model.unlink()
    model.write_bytes(data)
    if side == "home":
        code, said = attempted(place)
        assert code == 3
        assert said == (
            f"error: `{model}` was changed: its sha256 is not the manifest's\n\n"
            "hint: `launcher pull gad-rehearsal` copies the damaged files again\n"
        )
        assert place.launcher("verify").returncode == 3
        assert place.launcher("pull").returncode == 0
        assert place.launcher("verify").returncode == 0
    else:
        shutil.rmtree(place.home)
        done = place.launcher("pull")
        assert done.returncode == 3
        assert done.stderr.startswith(f"error: `{model}` is not what its run exported: its sha256 is ")
        assert not (place.home / "export/model.safetensors").exists()


def test_redo_does_that_stage_and_what_follows_and_nothing_else(until):
    place = until("verify")
    assert place.rehearse().returncode == 0
    attempts = {name: place.done(name)["started"] for name in ("model", "data", "warmup", "reference")}
    done = place.rehearse("--redo", "adversarial")
    assert done.returncode == 0, done.stderr
    assert {name: place.done(name)["started"] for name in attempts} == attempts
    started = [one["stage"] for one in place.events("stage.started")]
    assert started[1:] == ["adversarial", "convert", "verify"]
    assert (place.store / "stages/adversarial.1/done.json").exists()
