"""Two nodes that meet: torchrun over srun, whose ranks add up; and a Ray that is already there."""

import os
import socket
import subprocess
import sys
from pathlib import Path


def torch(out: Path) -> None:
    """One torchrun on every node, started by srun."""
    options = "--nnodes=$NNODES --node-rank=$SLURM_NODEID --master-addr=$MASTER_ADDR --master-port=$MASTER_PORT"
    line = f'exec "$0" -m torch.distributed.run --nproc-per-node=1 {options} -m recipes.pair.meet rank "$1"'
    srun = ["srun", "--overlap", "--ntasks-per-node=1", "--kill-on-bad-exit=1"]
    subprocess.run([*srun, "bash", "-c", line, sys.executable, str(out)], check=True)


def rank(out: Path) -> None:
    import torch
    import torch.distributed as group

    group.init_process_group("gloo")
    value = torch.tensor(group.get_rank() + 1)
    group.all_reduce(value)
    names = [None] * group.get_world_size()
    group.all_gather_object(names, socket.gethostname())
    if group.get_rank() == 0:
        (out / "sum.txt").write_text(f"{value.item()} {' '.join(sorted(names))}")
    group.destroy_process_group()


def ray(out: Path) -> None:
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy as On

    ray.init(address=os.environ["RAY_ADDRESS"], log_to_driver=False)
    where = ray.remote(lambda: socket.gethostname())
    alive = [node for node in ray.nodes() if node["Alive"]]
    asked = [where.options(scheduling_strategy=On(node["NodeID"], soft=False)).remote() for node in alive]
    names = set(ray.get(asked))
    (out / "nodes.txt").write_text(f"{len(alive)} {' '.join(sorted(names))}")


{"torch": torch, "rank": rank, "ray": ray}[sys.argv[1]](Path(sys.argv[2]))
