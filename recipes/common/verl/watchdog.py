"""Ends a stage whose Ray processes died: verl waits for ever for a dead agent loop or a dead TransferQueue."""

import os
import sys
import threading
import traceback

from recipes.common.stage.command import FAILED

CHECK_SECONDS = 5.0

PATIENCE_SECONDS = 15.0
"""For the trainer to fail by itself, which tells more."""


class Watchdog(threading.Thread):
    """Runs while training does; during it no actor may end."""

    def __init__(self) -> None:
        super().__init__(name="watchdog", daemon=True)
        self.over = threading.Event()

    def run(self) -> None:
        while not self.over.wait(CHECK_SECONDS):
            dead = dead_actors()
            if dead and not self.over.wait(PATIENCE_SECONDS):
                # The main thread may be anywhere, in C as well: nothing but an exit reaches it (guard.py sweeps up).
                traceback.print_stack(sys._current_frames()[threading.main_thread().ident])
                print(
                    f"error: training failed: the process of `{dead[0]}` died and the trainer still waits for it\n\n"
                    "hint: a process that was killed most often ran out of memory",
                    file=sys.stderr,
                    flush=True,
                )
                os._exit(FAILED)

    def __enter__(self) -> "Watchdog":
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.over.set()


def dead_actors() -> list[str]:
    """Class names of this job's actors that have ended."""
    import ray

    # Ray's public list of actors needs its dashboard, which a stage does not start.
    from ray._private import state

    job = ray.get_runtime_context().get_job_id()
    actors = [actor for actor in state.actors().values() if actor["JobID"] == job]
    return [actor["ActorClassName"] for actor in actors if actor["State"] == "DEAD"]
