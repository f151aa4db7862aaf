"""Checkpoints of two gloo ranks, written by the libraries that train: torch's DCP, and verl with a LoRA adapter.

    python trainers_peer.py ROOT

ROOT/dcp/<class> is what `torch.distributed.checkpoint` saves of a sharded model and its optimizer, and
ROOT/dcp_model/<class> of the model alone. ROOT/lora/actor and ROOT/lora_alone/actor are what verl's
FSDPCheckpointManager saves with and without the weights under the adapter; ROOT/adapter and ROOT/base are what
`save_pretrained` writes of the same.
"""

import copy
import sys
import warnings
from pathlib import Path

import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
import verl.utils.import_utils

verl.utils.import_utils.is_trl_available = lambda: False  # verl 0.9.1 looks for a class that trl 1.16 has moved

from peft import LoraConfig, get_peft_model  # noqa: E402
from torch.distributed.checkpoint.state_dict import get_state_dict  # noqa: E402
from torch.distributed.device_mesh import init_device_mesh  # noqa: E402
from torch.distributed.fsdp import fully_shard  # noqa: E402
from verl.trainer.config import CheckpointConfig  # noqa: E402
from verl.utils.checkpoint.fsdp_checkpoint_manager import FSDPCheckpointManager  # noqa: E402

from recipes.common.model.tiny import train_tokenizer  # noqa: E402
from tests.recipes.common.checkpoint.architectures import model_of  # noqa: E402

WORLD = 2
CLASSES = ("Qwen2ForCausalLM", "Qwen3MoeForCausalLM")


def save_dcp(root: Path, architecture: str) -> None:
    """After one step of Adam: an optimizer without state would save nothing."""
    model = model_of(architecture).train()
    for layer in model.model.layers:
        fully_shard(layer)
    fully_shard(model)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.0)
    tokens = torch.arange(8)[None]
    model(input_ids=tokens, labels=tokens).loss.backward()
    optimizer.step()
    weights, state = get_state_dict(model, optimizer)
    dcp.save({"model": weights, "optimizer": state}, checkpoint_id=root / "dcp" / architecture)
    dcp.save(weights, checkpoint_id=root / "dcp_model" / architecture)


def save_lora(root: Path, alone: bool) -> None:
    base = model_of("Qwen2ForCausalLM")
    config = LoraConfig(r=4, lora_alpha=6, target_modules=["q_proj", "down_proj"], task_type="CAUSAL_LM")
    model = get_peft_model(copy.deepcopy(base), config)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(weight, std=0.1)
    if dist.get_rank() == 0 and not alone:
        base.save_pretrained(root / "base")
        model.save_pretrained(root / "adapter")
    for layer in model.base_model.model.model.layers:
        fully_shard(layer, mesh=init_device_mesh("cpu", (WORLD,), mesh_dim_names=("fsdp",)))
    fully_shard(model, mesh=init_device_mesh("cpu", (WORLD,), mesh_dim_names=("fsdp",)))
    FSDPCheckpointManager(
        model=model,
        optimizer=None,
        lr_scheduler=None,
        processing_class=train_tokenizer(["hello world"]),
        checkpoint_config=CheckpointConfig(save_contents=["model"], load_contents=["model"], save_lora_only=alone),
    ).save_checkpoint(str(root / ("lora_alone" if alone else "lora") / "actor"))


def train(rank: int, root: Path) -> None:
    warnings.simplefilter("ignore")
    dist.init_process_group("gloo", init_method=f"file://{root}/store", rank=rank, world_size=WORLD)
    for architecture in CLASSES:
        save_dcp(root, architecture)
    for alone in (False, True):
        save_lora(root, alone)
    dist.destroy_process_group()


if __name__ == "__main__":
    torch.multiprocessing.start_processes(train, (Path(sys.argv[1]),), nprocs=WORLD, start_method="fork")
