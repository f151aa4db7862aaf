"""A stage's checkpoints: verl's `global_step_N` folders, complete once `complete.json` says so.

    global_step_100/
      actor/    model, optim and extra_state of each rank, fsdp_config.json, huggingface/
      critic/   the same; absent where a stage trains no critic
      complete.json   {"mode", "step", "world_size", "score", "files": {relative path: bytes},
                       "hashes": {relative path: content_hash}}, written last

verl's own latest_checkpointed_iteration.txt decides nothing here. On several nodes the folder must be shared.
"""

import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from recipes.common.checkpoint.records import content_hash
from recipes.common.stage.command import StageError
from recipes.common.stage.files import link_or_copy, read_json, remove_unmarked, sync, sync_tree, write_json

MARKER = "complete.json"


@dataclass(frozen=True)
class Checkpoint:
    """What a marker says about its folder."""

    folder: Path
    mode: str
    step: int
    world_size: int
    score: float | None
    """The validation's, at this step; None when there was none."""
    files: dict[str, int]
    """Bytes of each file below the folder."""
    hashes: dict[str, str] = field(default_factory=dict)
    """The `content_hash` of each file; none in a marker of an earlier version."""


def read(folder: Path) -> Checkpoint | None:
    """The folder's checkpoint, or None while it has no marker. A StageError for another marker than `complete`
    writes."""
    marker = read_json(folder / MARKER)
    if not marker:
        return None
    if not isinstance(marker, dict) or not _sound(marker):
        raise StageError(f"`{folder / MARKER}` is not the marker of a checkpoint", "delete the folder, or its marker")
    return Checkpoint(folder, **marker)


def complete(folder: Path, mode: str, step: int, world_size: int, score: float | None) -> Checkpoint:
    """The checkpoint's files are on disk and its marker after them: from now on it survives any kill."""
    sync_tree(folder)
    sync(folder.parent)
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    sizes = {str(path.relative_to(folder)): path.stat().st_size for path in paths}
    hashes = {str(path.relative_to(folder)): content_hash(path) for path in paths}
    checkpoint = Checkpoint(folder, mode, step, world_size, score, sizes, hashes)
    write_json(folder / MARKER, {key: value for key, value in asdict(checkpoint).items() if key != "folder"})
    return checkpoint


def remove_incomplete(work: Path) -> None:
    """The folders that a kill left without a marker are gone."""
    remove_unmarked(_folders(work), MARKER)


def newest(work: Path) -> Checkpoint | None:
    """The complete checkpoint with the highest step."""
    return max(filter(None, map(read, _folders(work))), key=lambda checkpoint: checkpoint.step, default=None)


def check(checkpoint: Checkpoint, mode: str, runs: str, world_size: int, roles: tuple[str, ...]) -> None:
    """Returns when a stage of mode `runs` can load the checkpoint, which has to be of mode `mode`."""
    folder = checkpoint.folder
    if checkpoint.mode != mode:
        raise StageError(
            f"`{folder}` was written by mode `{checkpoint.mode}`, this stage runs `{runs}`",
            "give this stage a work folder of its own" if mode == runs else f"give it the output of a `{mode}` stage",
        )
    for role in roles:
        if not any(name.startswith(f"{role}/") for name in checkpoint.files):
            raise StageError(
                f"`{folder}` holds no `{role}`: the stage that wrote it did not train one",
                f"run a stage that trains the {role}",
            )
    if checkpoint.world_size != world_size:
        raise StageError(
            f"`{folder}` was written by {checkpoint.world_size} training processes, this stage has {world_size}",
            f"run it with {checkpoint.world_size} (`ranks` times nodes), or start again in an empty work folder",
        )
    for name, expected in checkpoint.files.items():
        if name.split("/")[0] in roles and (fault := _fault(checkpoint, name, expected)):
            raise _not_loadable(checkpoint, folder / name, fault)


def demand_one_save(role: Path) -> str:
    """What vouches for the role's rank files, in a sentence: the marker beside the role, or nothing; "" without any.
    StageError when one of them is not the file that its step saved. A replica's file is compared too, though nobody
    reads its tensors; the files in `huggingface/` are not: people correct them by hand."""
    role = role.resolve()
    names = sorted(f"{role.name}/{path.name}" for path in role.glob("model_world_size_*_rank_*.pt"))
    if not names:
        return ""
    checkpoint = read(role.parent)
    if checkpoint is None or not any(name.startswith(f"{role.name}/") for name in checkpoint.files):
        return f"no `{MARKER}` is beside `{role}`: nothing vouches that its rank files are of one save"
    for name in names:
        expected = checkpoint.files.get(name)
        fault = _fault(checkpoint, name, expected) if expected is not None else "is not one of its files"
        if fault:
            raise StageError(
                f"`{role.parent / name}` {fault}, by `{MARKER}` of step {checkpoint.step}",
                f"copy the file of step {checkpoint.step} again, or use another checkpoint",
            )
    if not checkpoint.hashes:
        return f"`{MARKER}` of step {checkpoint.step} has only sizes: nothing vouches for what the rank files hold"
    return f"the rank files are those of step {checkpoint.step}, by its `{MARKER}`"


def _fault(checkpoint: Checkpoint, name: str, size: int) -> str | None:
    """What is wrong with a file of the checkpoint. The content of rank files alone is compared."""
    path = checkpoint.folder / name
    if not path.is_file():
        return "is missing"
    if (actual := path.stat().st_size) != size:
        return f"has {actual:,} bytes instead of {size:,}"
    saved = checkpoint.hashes.get(name)
    if saved is not None and path.suffix == ".pt" and content_hash(path) != saved:
        return "is of another save: its hash is not the one that was saved"
    return None


def _not_loadable(checkpoint: Checkpoint, path: Path, fault: str) -> StageError:
    own = checkpoint.folder.name == folder_of(Path(), checkpoint.step).name
    older = f"delete `{checkpoint.folder}` to fall back to the checkpoint before it, or to the start"
    return StageError(f"`{path}` {fault}", older if own else "run the stage that wrote it again")


def _sound(marker: dict[str, Any]) -> bool:
    """Whether `complete` can have written the marker: all its files are below the folder."""
    files, score, hashes = marker.get("files"), marker.get("score"), marker.get("hashes", {})
    return (
        marker.keys() | {"hashes"} == {"mode", "step", "world_size", "score", "files", "hashes"}
        and isinstance(marker["mode"], str)
        and type(marker["step"]) is int
        and type(marker["world_size"]) is int
        and (score is None or isinstance(score, int | float))
        and isinstance(files, dict)
        and all(type(size) is int for size in files.values())
        and all(map(_inside, files))
        and isinstance(hashes, dict)
        and all(isinstance(hash, str) for hash in hashes.values())
    )


def _inside(name: str) -> bool:
    """Whether a file below the folder can have that name."""
    parts = name.split("/")
    return all(part not in ("", ".", "..") and len(part.encode(errors="replace")) <= 255 for part in parts)


def prune(work: Path, keep: int) -> None:
    """Leaves the last `keep` checkpoints and the one with the best score."""
    present = sorted(filter(None, map(read, _folders(work))), key=lambda checkpoint: checkpoint.step)
    scored = [checkpoint for checkpoint in present if checkpoint.score is not None]
    best = max(scored, key=lambda checkpoint: (checkpoint.score, checkpoint.step), default=None)
    for checkpoint in present[:-keep]:
        if checkpoint != best:
            # The marker goes first, so that a kill here leaves no complete checkpoint with files missing.
            (checkpoint.folder / MARKER).unlink()
            shutil.rmtree(checkpoint.folder)


def folder_of(work: Path, step: int) -> Path:
    """The folder of the checkpoint after `step`."""
    return work / f"global_step_{step}"


def export(checkpoint: Checkpoint, roles: tuple[str, ...], out: Path) -> None:
    """`out` holds the roles' files and the marker, and none of an earlier checkpoint: hard links, or copies on another
    file system."""
    for role in roles:
        shutil.rmtree(out / role, ignore_errors=True)
    for name in (*checkpoint.files, MARKER):
        if name != MARKER and name.split("/")[0] not in roles:
            continue
        target = out / name
        target.parent.mkdir(parents=True, exist_ok=True)
        link_or_copy(checkpoint.folder / name, target)


def _folders(work: Path) -> list[Path]:
    return sorted(path for path in work.glob("global_step_*") if path.is_dir())
