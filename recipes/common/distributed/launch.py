"""Starts a program once for each GPU of a machine, and on every machine of a Slurm job, with torchrun's variables.

torchrun does the same and runs the same programs. Stages are started by this instead because torchrun makes 1 of every
exit code (a stage's 2 and 33 mean something), and kills 30 seconds after SIGTERM, whatever a checkpoint takes.
"""

import os
import signal
import subprocess
import sys
import time
from typing import Any

from recipes.common.distributed.rendezvous import STARTED, Meeting, by_srun, meeting
from recipes.common.stage.command import DONE, INTERRUPTED, Mistake
from recipes.common.stage.parallel import die_with_parent

GRACE = 60.0
"""Seconds that the others have to end by themselves once one has ended."""

BY_SRUN = signal.SIGUSR1
"""How srun is asked to stop: it passes this on to each machine, where SIGTERM would have it kill them all at once."""


def gpus(device: str) -> int:
    """How many processes a machine runs: one for each GPU, or one on a CPU. A Mistake when no GPU is visible."""
    if device == "cpu":
        return 1
    import torch

    if not torch.cuda.device_count():
        raise Mistake("`device` is `cuda`, and no GPU is visible", "check `nvidia-smi`")
    return int(torch.cuda.device_count())


def start(module: str, argv: list[str], ranks: int) -> int:
    """Runs `python -m module argv` as `ranks` processes on each machine; the exit code: 0 when all ended with it.

    SIGTERM is passed on to all of them. When one fails, the others are ended.
    """
    program = [sys.executable, "-m", module, *argv]
    if by_srun(os.environ):
        nodes = os.environ["NNODES"]
        srun = ["srun", "--overlap", "--kill-on-bad-exit=0", f"--wait={GRACE:.0f}", f"--nodes={nodes}"]
        commands = [([*srun, f"--ntasks={nodes}", "--ntasks-per-node=1", *program], {STARTED: "1"})]
    else:
        rendezvous = meeting(os.environ)
        commands = [(program, _variables(rendezvous, ranks, local)) for local in range(ranks)]
    processes: list[subprocess.Popen[bytes]] = []

    asking = BY_SRUN if by_srun(os.environ) else signal.SIGTERM

    def ask(*_: Any) -> None:
        for process in processes:
            process.send_signal(asking)

    for number in (signal.SIGTERM, BY_SRUN):
        signal.signal(number, ask)
    for command, variables in commands:
        processes.append(subprocess.Popen(command, env=os.environ | variables, preexec_fn=_begin))
    return _wait(processes)


def _variables(rendezvous: Meeting, ranks: int, local: int) -> dict[str, str]:
    return {
        "RANK": str(rendezvous.node * ranks + local),
        "LOCAL_RANK": str(local),
        "WORLD_SIZE": str(rendezvous.nodes * ranks),
        "LOCAL_WORLD_SIZE": str(ranks),
        "MASTER_ADDR": rendezvous.address,
        "MASTER_PORT": str(rendezvous.port),
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1"),
    }


def _wait(processes: list["subprocess.Popen[bytes]"]) -> int:
    """The exit code of the first that failed; the others have ended too."""
    running, first, deadline = list(processes), DONE, None
    while running:
        for process in list(running):
            if process.poll() is None:
                continue
            running.remove(process)
            if process.returncode != DONE and first == DONE:
                first = process.returncode
                # A rank that was asked to stop stops with the others; one that failed leaves them waiting for it.
                deadline = time.monotonic() + (GRACE if first == INTERRUPTED else 0)
        if deadline is not None and time.monotonic() >= deadline:
            for process in running:
                process.kill()
        time.sleep(0.05)
    return 128 - first if first < 0 else first


def _begin() -> None:
    """A rank, before its program: dies with this process; srun's signal, which reaches it too, is not for it."""
    if not by_srun(os.environ):
        signal.signal(BY_SRUN, signal.SIG_IGN)
    die_with_parent()
