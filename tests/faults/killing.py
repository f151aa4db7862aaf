"""Faults that end programs, or start one too many. Each is a context: what goes wrong, while the launch comes to its
end; afterwards what a user would do before the next launch is done. What is held is released inside."""

import contextlib
import os
import signal
from collections.abc import Iterator

from tests.faults.scene import Scene
from tests.support.patience import until


@contextlib.contextmanager
def term(scene: Scene) -> Iterator[None]:
    scene.backend.ask()
    yield


@contextlib.contextmanager
def kill_trainer(scene: Scene) -> Iterator[None]:
    os.kill(scene.backend.trainer(), signal.SIGKILL)
    yield


@contextlib.contextmanager
def kill_node(scene: Scene) -> Iterator[None]:
    os.kill(scene.backend.node(), signal.SIGKILL)
    # it outlives it for milliseconds, in which a toy takes steps that a trainer takes minutes for
    until(lambda: not scene.backend.working(b"recipes.toy"), "the trainer's end")
    yield


@contextlib.contextmanager
def kill_all(scene: Scene) -> Iterator[None]:
    scene.backend.kill_all(scene.process)
    yield


@contextlib.contextmanager
def kill_laptop(scene: Scene) -> Iterator[None]:
    scene.backend.kill_laptop(scene.process)
    yield


@contextlib.contextmanager
def launch_twice(scene: Scene) -> Iterator[None]:
    """The second comes to where the first one waits, joins it, or is refused in a sentence."""
    other = scene.backend.start()
    if scene.moment.laptop:
        until(
            lambda: other.poll() is not None or scene.backend.waiting() > 1 or scene.backend.queued(other), "the second"
        )
    else:
        assert other.stdout
        other.stdout.readline()
    scene.backend.release()
    yield
    scene.others.append(scene.backend.settle(other))
