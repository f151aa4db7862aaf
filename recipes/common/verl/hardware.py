"""Everything that differs between a rehearsal on a CPU and training on GPUs: the trainer does not know which it is."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recipes.common.inference.vllm_cpu import check_build
from recipes.common.stage.command import Mistake

HERE = Path(__file__).parent

EVERYWHERE = {
    "TOKENIZERS_PARALLELISM": "false",
    "RAY_USAGE_STATS_ENABLED": "0",
    "VERL_LOGGING_LEVEL": "WARN",
    "TQ_NUM_THREADS": "2",
    "VLLM_NO_USAGE_STATS": "1",
}

CPU = {
    "VERL_PLATFORM": "cpu",
    # One thread an operation: sums come out the same every time, and ranks do not fight for cores.
    "OMP_NUM_THREADS": "1",
}

CUDA = {
    "NCCL_DEBUG": "WARN",
    "VLLM_LOGGING_LEVEL": "WARN",
    "VLLM_DISABLE_COMPILE_CACHE": "1",  # as verl sets it: vllm-project/vllm#31199
    # vLLM's sleeping allocator and torch's expandable segments exclude each other.
    "PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:False",
}

FLOAT32 = "{param_dtype:fp32,reduce_dtype:fp32,buffer_dtype:fp32}"

ON_CPU = [
    "trainer.device=cpu",
    # No flash attention, hence padded batches; no compiler in the rehearsal's image.
    "actor_rollout_ref.model.use_remove_padding=False",
    "critic.model.use_remove_padding=False",
    "+actor_rollout_ref.model.override_config.attn_implementation=sdpa",
    "+critic.model.override_config.attn_implementation=sdpa",
    "actor_rollout_ref.model.enable_gradient_checkpointing=False",
    "critic.model.enable_gradient_checkpointing=False",
    "actor_rollout_ref.actor.use_torch_compile=False",
    "actor_rollout_ref.actor.fsdp_config.use_torch_compile=False",
    "actor_rollout_ref.ref.fsdp_config.use_torch_compile=False",
    "critic.fsdp.use_torch_compile=False",
    # verl's bf16 autocast leaves a score 8 bits, and a CPU gains no speed from it.
    f"+actor_rollout_ref.actor.fsdp_config.mixed_precision={FLOAT32}",
    f"+actor_rollout_ref.ref.fsdp_config.mixed_precision={FLOAT32}",
    f"+critic.fsdp.mixed_precision={FLOAT32}",
    # One process each: on two cores a process's imports are what the rehearsal waits for.
    "actor_rollout_ref.rollout.agent.num_workers=1",
    "transfer_queue.backend.SimpleStorage.num_data_storage_units=1",
]

ON_CUDA = ["trainer.device=cuda"]

TRANSFORMERS = [
    "actor_rollout_ref.rollout.name=hf",
    "actor_rollout_ref.rollout.free_cache_engine=False",
    "actor_rollout_ref.model.external_lib=recipes.common.verl.cpu_rollout",
    "actor_rollout_ref.rollout.agent.default_agent_loop=seeded_single_turn",
    f"actor_rollout_ref.rollout.agent.agent_loop_config_path='{HERE / 'agent_loops.yaml'}'",
    f"actor_rollout_ref.rollout.router_config_path='{HERE / 'router.yaml'}'",
]

VLLM = ["actor_rollout_ref.rollout.name=vllm"]

VLLM_ON_CPU = [
    # both free a GPU's memory between rollouts
    "+actor_rollout_ref.rollout.enable_sleep_mode=False",
    "actor_rollout_ref.rollout.free_cache_engine=False",
    # no compiler in the rehearsal's image; a share of the machine's memory would be gigabytes
    "actor_rollout_ref.rollout.enforce_eager=True",
    "+actor_rollout_ref.rollout.engine_kwargs.vllm.kv_cache_memory_bytes=268435456",
    # the bucket is shared memory
    "actor_rollout_ref.rollout.checkpoint_engine.update_weights_bucket_megabytes=64",
]


@dataclass(frozen=True)
class Hardware:
    """The processes a stage trains with."""

    device: str
    """cpu or cuda."""
    rollout: str
    """hf (transformers, in float32 on a CPU) or vllm."""
    ranks: int
    """Training processes on each node; on GPUs one for each."""
    nodes: int = 1

    @property
    def world_size(self) -> int:
        return self.ranks * self.nodes

    def overrides(self) -> list[str]:
        """The overrides of verl's configuration for this hardware."""
        count = [f"trainer.n_gpus_per_node={self.ranks}", f"trainer.nnodes={self.nodes}"]
        device = ON_CPU if self.device == "cpu" else ON_CUDA
        vllm = [*VLLM, *(VLLM_ON_CPU if self.device == "cpu" else [])]
        return [*count, *device, *(TRANSFORMERS if self.rollout == "hf" else vllm)]

    def environment(self) -> dict[str, str]:
        """Variables for the stage's process and every Ray process of it, to be set before verl is imported."""
        plugins = ["recipes.common.verl.compat"]
        if self.device == "cpu":
            plugins.append("recipes.common.verl.cpu_platform")
            if self.rollout == "vllm":
                plugins.append("recipes.common.inference.vllm_cpu")
        paths = [str(HERE.parents[2]), *filter(None, [os.environ.get("PYTHONPATH")])]
        return {
            **EVERYWHERE,
            **(CPU if self.device == "cpu" else CUDA),
            "VERL_USE_EXTERNAL_MODULES": ",".join(plugins),
            "PYTHONPATH": os.pathsep.join(paths),
        }

    def ray_resources(self) -> dict[str, Any]:
        """Arguments of ray.init. On a CPU verl's worker slots (3 CPUs, 1 GPU a rank) are declared, not owned."""
        return {"num_cpus": 2 + 3 * self.ranks, "num_gpus": self.ranks} if self.device == "cpu" else {}


def detect(device: str, rollout: str, ranks: int | None) -> Hardware:
    """The hardware of this run; `ranks` None: every GPU that is visible, or one process on a CPU."""
    if rollout == "vllm":
        check_build(device, "rollout", "hf")
    if device == "cuda":
        import torch

        visible = torch.cuda.device_count()
        if visible < (ranks or 1):
            raise Mistake(f"`ranks` is `{ranks or 'null'}`, but {visible} GPUs are visible", "check `nvidia-smi`")
        ranks = ranks or visible
    return Hardware(device, rollout, ranks or 1, nodes())


def nodes() -> int:
    """Machines of this job, as SkyPilot or Slurm counts them."""
    return int(os.environ.get("SKYPILOT_NUM_NODES") or os.environ.get("SLURM_NNODES") or 1)
