"""One cell of the matrix: a launch held at its moment, the fault, the same command again, and what must hold then."""

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from launcher.runfolder.paths import RunFolder
from launcher.transfer.verify import faults
from tests.faults import damage, killing, taken, wire
from tests.faults.cells import Cell
from tests.faults.local import Ended, Local
from tests.faults.moments import moment
from tests.faults.scene import Scene
from tests.launcher.conftest import lines_of
from tests.support.chance import SEED
from tests.support.patience import until

FAULTS: dict[str, Callable[[Scene], AbstractContextManager[None]]] = {
    "SIGTERM": killing.term,
    "SIGKILL of the trainer": killing.kill_trainer,
    "SIGKILL of the node program": killing.kill_node,
    "SIGKILL of everything": killing.kill_all,
    "disk full": damage.fill,
    "torn checkpoint": damage.tear,
    "flipped byte": damage.flip,
    "clock jump": damage.jump,
    "lost event file": damage.lose_events,
    "double launch": killing.launch_twice,
    "laptop killed": killing.kill_laptop,
    "ssh cut": wire.cut,
    "machine vanishing": taken.lose_machine,
    "preemption": taken.preempt,
    "wall-time limit": taken.time_out,
    "store unreachable": damage.shut_store,
}
SAVE_EVERY = 2
STEPS = {"sum": 8, "again": 16}
DAY = 86400.0
ENDS = {0, 2, 3, 33, -9}
"""The exit codes of a launch that was disturbed: done, refused, failed, interrupted, killed. 1 would be our fault, but
for a disk without room for our own files."""
TRIES = 3


@dataclass(frozen=True)
class Around:
    """What an undisturbed run brings home, and what some faults need: a disk that can be filled, a way to a bucket."""

    undisturbed: dict[str, bytes]
    disk: Any = None
    gate: Any = None


def carry_out(cell: Cell, backend: Local, around: Around) -> None:
    """The cell was run, and nothing was wrong; AssertionError says what was."""
    draws = cell.draws(SEED)
    point = moment(cell, draws)
    if cell.row == "ssh cut":
        wire.arm(cell, backend, draws)
        process = backend.start()
    else:
        backend.arm(point, draws.choice((-DAY, DAY)) if cell.row == "clock jump" else 0.0)
        process = backend.start()
        backend.held(process)
    scene = Scene(cell, backend, point, draws, process, around.disk, around.gate)
    before = proofs(backend.folder)
    with FAULTS[cell.row](scene):
        backend.release()
        ended = backend.settle(process)
        for launch in (ended, *scene.others):
            fair(launch, cell)
        consistent(backend)
    again = backend.launch()
    for _ in range(TRIES):
        if again.code == 0:
            break
        fair(again, cell)
        again = backend.launch()
    assert again.code == 0, again
    over(scene, before, around.undisturbed)


def fair(ended: Ended, cell: Cell) -> None:
    """It ended in a way that a user can understand."""
    allowed = ENDS | {1} if cell.row == "disk full" else ENDS
    assert ended.code in allowed and "Traceback" not in ended.errors + ended.out, ended
    assert ended.code <= 0 or (ended.errors.startswith("error: ") and "\n\nhint: " in ended.errors), ended


def consistent(backend: Local) -> None:
    """Nothing incomplete counts as complete, and nothing costs money unknown to the user."""
    home = backend.toy.home()
    assert not home.manifest.exists() or faults(home, every_byte=True) == []
    for name, proof in proofs(backend.folder).items():
        out = backend.folder.stage(name).out
        if out.exists():  # far away it may be; here only what a fresh machine needs is
            assert {name: (out / name).stat().st_size for name in proof["files"]} == proof["files"]
    assert backend.unlisted() == []


def over(scene: Scene, before: dict[str, Any], undisturbed: dict[str, bytes]) -> None:
    """The run ended as an undisturbed one, did nothing twice that was done, and left nothing behind."""
    backend, folder = scene.backend, scene.backend.folder
    consistent(backend)
    assert export(backend.toy.home()) == undisturbed
    after = proofs(folder)
    assert {name: proof for name, proof in before.items() if after[name] != proof and name not in scene.redone} == {}
    for stage, steps in STEPS.items():
        done = [line["step"] for line in lines_of(folder.stage(stage).progress) if "metrics" in line]
        assert set(done) == set(range(1, steps + 1)), (stage, done)
        assert len(done) <= steps + scene.intervals * SAVE_EVERY, (stage, done)
    until(lambda: not backend.remains(), f"the end of {backend.remains()}", 20)


def proofs(folder: RunFolder) -> dict[str, Any]:
    """What proves the stages that are done."""
    return {path.parent.name: json.loads(path.read_text()) for path in folder.path.glob("stages/*/done.json")}


def export(home: RunFolder) -> dict[str, bytes]:
    """Every file that came home."""
    return {path.name: path.read_bytes() for path in home.export.iterdir()}
