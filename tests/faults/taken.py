"""Faults of what a run has been given for a while: a machine, a node, its time. Each is a context, as in
tests/faults/killing.py."""

import contextlib
from collections.abc import Iterator

from tests.faults.scene import Scene


@contextlib.contextmanager
def lose_machine(scene: Scene) -> Iterator[None]:
    scene.backend.lose_machine()
    yield


@contextlib.contextmanager
def preempt(scene: Scene) -> Iterator[None]:
    """A more important job has the nodes: this one is asked to stop, and is killed after its grace."""
    scene.backend.preempt()
    yield


@contextlib.contextmanager
def time_out(scene: Scene) -> Iterator[None]:
    """The scheduler says that the time is nearly over; what was held goes on only then."""
    scene.backend.time_out()
    yield
