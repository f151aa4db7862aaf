"""verl's own writer and merger, which the conversion is compared with, in a process of their own.

    python verl_peer.py ROOT

For each of CASES, FSDPCheckpointManager writes ROOT/<case>/actor from real gloo ranks, which are forks of this process
so that verl is imported once; the merger makes ROOT/<case>/merged of it.
"""

import os
import sys
import traceback
import warnings
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.distributed as dist
import verl.utils.import_utils

verl.utils.import_utils.is_trl_available = lambda: False  # verl 0.9.1 looks for a class that trl 1.16 has moved

from torch.distributed.device_mesh import init_device_mesh  # noqa: E402
from torch.distributed.fsdp import FullyShardedDataParallel, ShardingStrategy, fully_shard  # noqa: E402
from transformers import PreTrainedModel, Qwen2Config, Qwen2ForCausalLM, Qwen2ForTokenClassification  # noqa: E402
from verl.model_merger.base_model_merger import ModelMergerConfig  # noqa: E402
from verl.model_merger.fsdp_model_merger import FSDPModelMerger  # noqa: E402
from verl.trainer.config import CheckpointConfig  # noqa: E402
from verl.utils.checkpoint.fsdp_checkpoint_manager import FSDPCheckpointManager  # noqa: E402
from verl.utils.fsdp_utils import get_shard_placement_fn  # noqa: E402

from recipes.common.model.tiny import train_tokenizer  # noqa: E402


@dataclass(frozen=True)
class Case:
    fsdp: int
    mesh: tuple[int, ...]
    model: type[PreTrainedModel] = Qwen2ForCausalLM
    tied: bool = False
    columns: bool = False
    """Cut where verl's `get_shard_placement_fn` says, along a later dimension when the ranks do not divide the first.
    Its engine always cuts along the first."""


CASES = {
    "fsdp1": Case(1, (3,)),
    "fsdp1_hybrid": Case(1, (2, 2)),
    "fsdp2": Case(2, (3,)),
    "fsdp2_uneven": Case(2, (5,)),
    "fsdp2_columns": Case(2, (3,), columns=True),
    "fsdp2_hybrid": Case(2, (2, 2)),
    "fsdp2_alone": Case(2, (1,)),
    "tied": Case(2, (2,), tied=True),
    "critic": Case(2, (3,), Qwen2ForTokenClassification),
}


def build(case: Case, vocabulary: int) -> PreTrainedModel:
    """A model whose sizes 3 ranks divide in some dimensions and 5 in none. No value is what another tensor holds."""
    config = Qwen2Config(
        vocab_size=vocabulary,
        hidden_size=48,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        tie_word_embeddings=case.tied,
        num_labels=1 if case.model is Qwen2ForTokenClassification else 2,
    )
    torch.manual_seed(0)
    model = case.model(config)
    for weight in model.parameters():
        torch.nn.init.normal_(weight)
    config.architectures = ["Qwen2ForCausalLM"]  # which verl leaves in a critic's configuration too
    return model


def shard(case: Case, model: PreTrainedModel) -> torch.nn.Module:
    """The model as verl's engine wraps it (`_build_fsdp_module` in verl/workers/engine/fsdp/transformer_impl.py)."""
    mesh = init_device_mesh("cpu", case.mesh, mesh_dim_names=("ddp", "fsdp")[-len(case.mesh) :])
    if case.fsdp == 1:
        strategy = ShardingStrategy.FULL_SHARD if len(case.mesh) == 1 else ShardingStrategy.HYBRID_SHARD
        return FullyShardedDataParallel(
            model, device_mesh=mesh, sharding_strategy=strategy, device_id=torch.device("cpu")
        )
    placement = get_shard_placement_fn(case.mesh[-1]) if case.columns else None
    for layer in model.model.layers:
        fully_shard(layer, mesh=mesh, shard_placement_fn=placement)
    fully_shard(model, mesh=mesh, shard_placement_fn=placement)
    return model


def save(root: Path, name: str, rank: int) -> None:
    """This rank's part of the checkpoint is in ROOT/<name>/actor."""
    case = CASES[name]
    tokenizer = train_tokenizer(["hello world"])
    dist.init_process_group(
        "gloo", init_method=f"file://{root}/{name}.store", rank=rank, world_size=torch.Size(case.mesh).numel()
    )
    FSDPCheckpointManager(
        model=shard(case, build(case, len(tokenizer))),
        optimizer=None,
        lr_scheduler=None,
        processing_class=tokenizer,
        checkpoint_config=CheckpointConfig(save_contents=["model"], load_contents=["model"]),
    ).save_checkpoint(str(root / name / "actor"))
    dist.destroy_process_group()


def fork(root: Path, name: str, rank: int) -> int:
    """The process that saves as this rank, and then ends."""
    if child := os.fork():
        return child
    try:
        save(root, name, rank)
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        os._exit(1)


def merge(role: Path, target: Path) -> None:
    """What `python -m verl.model_merger merge --backend fsdp` does."""
    target.mkdir()
    paths = {"local_dir": str(role), "target_dir": str(target), "hf_model_config_path": str(role / "huggingface")}
    FSDPModelMerger(ModelMergerConfig(operation="merge", backend="fsdp", **paths)).merge_and_save()


def main(root: Path) -> None:
    for name, case in CASES.items():
        ranks = [fork(root, name, rank) for rank in range(torch.Size(case.mesh).numel())]
        ended = [os.waitpid(rank, 0)[1] for rank in ranks]
        if any(ended):
            sys.exit(f"a rank of {name} failed")
        merge(root / name / "actor", root / name / "merged")


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main(Path(sys.argv[1]))
