"""Faults of files, disks, clocks and stores. Each is a context, as in tests/faults/killing.py."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from tests.faults.scene import Scene
from tests.launcher.conftest import lines_of
from tests.support.patience import until


@contextlib.contextmanager
def fill(scene: Scene) -> Iterator[None]:
    scene.disk.fill()
    yield
    scene.disk.free()


@contextlib.contextmanager
def tear(scene: Scene) -> Iterator[None]:
    """The newest checkpoint's file is empty or half there, as after a power cut."""
    path = _newest_checkpoint(scene)
    scene.backend.kill_all(scene.process)
    whole = path.read_bytes()
    scene.backend.spoil(path, whole[: scene.draws.choice((0, len(whole) // 2))])
    scene.intervals = 2
    yield


@contextlib.contextmanager
def flip(scene: Scene) -> Iterator[None]:
    """One byte is another: of an input, a checkpoint, the export where it was made, or the one at home."""
    folder, home = scene.backend.folder, scene.backend.toy.home()
    if scene.cell.phase == "checkpoint write":
        path = _newest_checkpoint(scene)
        scene.backend.kill_all(scene.process)
        scene.intervals = 2
        _flip(scene, path)
        yield
    elif scene.cell.phase == "pull":
        scene.backend.release()
        yield
        _flip(scene, scene.draws.choice(sorted(home.export.iterdir())))
        refused = scene.backend.launch()
        assert refused.code == 3 and "was changed: its sha256 is not the manifest's" in refused.errors, refused
        assert scene.backend.launcher("pull").code == 0
    elif scene.cell.phase == "export":
        _flip(scene, scene.draws.choice(sorted(folder.export.glob("part-*"))))
        yield
        redone = scene.backend.launch("--redo", "convert")
        assert redone.code == 0, redone
        scene.redone.add("convert")
    else:
        _flip(scene, folder.inputs / "train.jsonl")
        yield


@contextlib.contextmanager
def jump(scene: Scene) -> Iterator[None]:
    scene.backend.jumped()
    yield


@contextlib.contextmanager
def lose_events(scene: Scene) -> Iterator[None]:
    scene.backend.remove(scene.backend.folder.events)
    yield


@contextlib.contextmanager
def shut_store(scene: Scene) -> Iterator[None]:
    """It answers again once the node program has noticed, or is done without it."""
    scene.gate.shut()
    scene.backend.release()
    noticed = lambda: "cannot be reached" in _said(scene) or "error" in _said(scene)  # noqa: E731
    until(lambda: scene.process.poll() is not None or noticed(), "a word of the store")
    scene.gate.open()
    yield


def _said(scene: Scene) -> str:
    folder = scene.backend.folder
    warnings = [str(event) for event in lines_of(folder.events) if event.get("event") == "run.warning"]
    return " ".join(warnings) + (folder.node_log.read_text() if folder.node_log.exists() else "")


def _newest_checkpoint(scene: Scene) -> Path:
    found = scene.backend.folder.path.glob("stages/*/work/step_*/saved.json")
    return max(found, key=lambda path: (path.parent.parent.parent.name == "again", int(path.parent.name[5:])))


def _flip(scene: Scene, path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[scene.draws.randrange(len(content))] ^= 1 << scene.draws.randrange(8)
    scene.backend.spoil(path, bytes(content))
