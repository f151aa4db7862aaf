"""A training stage: goes on from its newest checkpoint, and leaves what later stages see."""

import shutil
from collections.abc import Callable

from recipes.common.distributed.ranks import Ranks, joined
from recipes.common.stage import files
from recipes.common.verl import checkpoints
from recipes.honest_persona import checkpoints as saving
from recipes.honest_persona.dataset import read_rows
from recipes.honest_persona.form import Form
from recipes.honest_persona.settings import Settings
from recipes.honest_persona.summary import summary
from recipes.honest_persona.trainer import Length, length_of
from recipes.honest_persona.training_loop import MODE, Folders, Loop


def train(settings: Settings, form: Form, folders: Folders, stop: Callable[[], bool]) -> None:
    """OUT is complete; or Interrupted, after a checkpoint."""
    with joined(settings.device) as ranks:
        if ranks.main:
            folders.work.mkdir(parents=True, exist_ok=True)
            checkpoints.newest(folders.work)  # removes what a kill left half written, before the others look
        ranks.wait()
        rows = {name: read_rows(folders.data / f"{name}.parquet") for name in ("train", "val")}
        length = length_of(len(rows["train"]), settings, ranks.world)
        resume = checkpoints.newest(folders.work)
        if resume:
            checkpoints.check(resume, MODE, MODE, ranks.world, saving.ROLES)
            if ranks.main:
                print(f"going on from {resume.folder.name}", flush=True)
        if not resume or resume.step < length.steps:
            Loop(settings, form, folders, ranks, length, resume).run(rows, stop)
        ranks.wait()
        if ranks.main:
            write_out(folders, length, ranks)


def write_out(folders: Folders, length: Length, ranks: Ranks) -> None:
    """OUT holds the last checkpoint's adapter and those of all epochs; metrics.json comes last."""
    last = checkpoints.newest(folders.work)
    assert last
    folders.out.mkdir(parents=True, exist_ok=True)
    for name in ("adapter", "epochs"):
        shutil.rmtree(folders.out / name, ignore_errors=True)
        shutil.copytree(last.folder / name, folders.out / name, copy_function=saving.link)
    files.write_json(folders.out / "metrics.json", summary(last, length, folders.work) | {"world_size": ranks.world})
