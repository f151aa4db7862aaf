"""Ends a stage's processes: when one of Ray's died, because verl waits for ever for a dead agent loop or TransferQueue;
and after a stage was killed, because Ray's agents live on for a minute and inference engines keep GPU memory."""

import os
import shutil
import signal
import sys
import threading
import time
import traceback
from pathlib import Path

from recipes.common.stage.command import FAILED

CHECK_SECONDS = 5.0

PATIENCE_SECONDS = 15.0
"""The time for the trainer to fail by itself, with a better error."""

MARK = "STAGE_SESSION"
"""The variable that every process below the stage inherits; its value is the session's folder."""

POLL_SECONDS = 0.5
GRACE_SECONDS = 2.0
"""The time for processes that end by themselves."""


class Watchdog(threading.Thread):
    """Runs during the training, in which no actor may end."""

    def __init__(self) -> None:
        super().__init__(name="watchdog", daemon=True)
        self.over = threading.Event()

    def run(self) -> None:
        while not self.over.wait(CHECK_SECONDS):
            dead = dead_actors()
            if dead and not self.over.wait(PATIENCE_SECONDS):
                # The main thread may be anywhere, in C as well: nothing but an exit reaches it (`guard` sweeps up).
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


def guard(folder: Path) -> None:
    """Once this process has ended, however it did, nothing that it or its children started is left, nor `folder`."""
    os.environ[MARK] = str(folder)
    stage = os.getpid()
    if os.fork() == 0:
        os.setsid()  # a kill of the stage's process group spares the guard
        while os.getppid() == stage:
            time.sleep(POLL_SECONDS)
        if folder.exists():
            time.sleep(GRACE_SECONDS)
            for process in marked_processes(f"{MARK}={folder}"):
                os.kill(process, signal.SIGKILL)
            shutil.rmtree(folder, ignore_errors=True)
        os._exit(0)


def marked_processes(variable: str) -> list[int]:
    """Processes of this machine that were started with `variable` (NAME=value) in their environment."""
    processes = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            variables = (process / "environ").read_bytes().split(b"\0")
        except OSError:
            continue  # ended meanwhile, or another user's
        if variable.encode() in variables:
            processes.append(int(process.name))
    return processes
