"""A connection that ends in the middle of a copy: an ssh before the real one lets some bytes through, once."""

import contextlib
import os
import random
from collections.abc import Iterator
from pathlib import Path

from tests.faults.cells import Cell
from tests.faults.local import Local
from tests.faults.scene import Scene

WIRE = Path(__file__).parent / "wire"
BYTES = {"sync": ("inputs", (30, 2000)), "pull": ("/export/", (10, 150))}
"""A word of the copy's command line, and after how many bytes its connection may end: there are more in all."""


def arm(cell: Cell, backend: Local, draws: random.Random) -> None:
    """The first copy of the cell's phase will be cut off."""
    word, some = BYTES[cell.phase]
    path = backend.toy.root.parent / "wire"
    path.write_text(f"{word} {cell.phase} {draws.randint(*some)}\n")
    backend.toy.env["WIRE"] = str(path)
    backend.toy.env["PATH"] = f"{WIRE}{os.pathsep}{backend.toy.env['PATH']}"


@contextlib.contextmanager
def cut(scene: Scene) -> Iterator[None]:
    yield
    assert (scene.backend.toy.root.parent / "wire.met").exists(), "no copy was cut off"
