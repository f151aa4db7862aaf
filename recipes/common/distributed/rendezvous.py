"""Where the processes of a training meet: the address of the first machine, read from the environment."""

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass

from recipes.common.stage.command import Mistake

PORT = 29500
"""torchrun's own."""


@dataclass(frozen=True)
class Meeting:
    """The machines of a job."""

    nodes: int
    node: int
    """This machine's index. The processes meet on machine 0."""
    address: str
    port: int


def meeting(environment: Mapping[str, str]) -> Meeting:
    """Of the variables that launcher's batch scripts (MASTER_ADDR, MASTER_PORT, NNODES; srun adds SLURM_NODEID) or
    SkyPilot (SKYPILOT_NODE_IPS, SKYPILOT_NUM_NODES, SKYPILOT_NODE_RANK) set; without them one machine, alone."""
    nodes = nodes_of(environment)
    if nodes == 1:
        return Meeting(1, 0, "127.0.0.1", free_port())
    node = int(environment.get("SKYPILOT_NODE_RANK") or environment.get("SLURM_NODEID") or 0)
    address = environment.get("MASTER_ADDR") or environment.get("SKYPILOT_NODE_IPS", "").partition("\n")[0]
    if not address:
        raise Mistake(
            f"there are {nodes} machines, and neither MASTER_ADDR nor SKYPILOT_NODE_IPS names the first one",
            "set MASTER_ADDR to the name of the first machine",
        )
    return Meeting(nodes, node, address, int(environment.get("MASTER_PORT") or PORT))


def nodes_of(environment: Mapping[str, str]) -> int:
    """Machines of the job."""
    return int(environment.get("NNODES") or environment.get("SKYPILOT_NUM_NODES") or 1)


def by_srun(environment: Mapping[str, str]) -> bool:
    """Whether this is the one process of a Slurm job of several machines that has to start the others."""
    several = int(environment.get("NNODES") or 1) > 1 and "SLURM_JOB_ID" in environment
    return several and STARTED not in environment


STARTED = "STAGE_STARTED_BY_SRUN"


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def is_rank(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether torchrun, or `start`, started this process as one of several."""
    return "LOCAL_RANK" in environment and "WORLD_SIZE" in environment
