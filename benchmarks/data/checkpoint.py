"""A checkpoint of the shape and size of a Qwen2.5, with random weights, from real ranks.

    torchrun --standalone --nproc-per-node=4 -m benchmarks.data.checkpoint ROLE --size 1.5b

FSDP2 over gloo on the CPU, float32, untied; each rank fills its own shards, so no rank ever holds the model. The files
are those of verl 0.9.1's FSDPCheckpointManager, which saves `model.state_dict()` of each rank.
"""

import argparse
import json
from pathlib import Path

import torch
import torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from transformers import Qwen2Config, Qwen2ForCausalLM

from recipes.common.model.tiny import train_tokenizer

SIZES = {
    "0.5b": {"hidden_size": 896, "intermediate_size": 4864, "num_hidden_layers": 24, "num_attention_heads": 14},
    "1.5b": {"hidden_size": 1536, "intermediate_size": 8960, "num_hidden_layers": 28, "num_attention_heads": 12},
    "3b": {"hidden_size": 2048, "intermediate_size": 11008, "num_hidden_layers": 36, "num_attention_heads": 16},
}
"""Of Qwen/Qwen2.5-0.5B, -1.5B and -3B, config.json; all have 2 key-value heads and this vocabulary."""

VOCABULARY = 151_936


def sharded_model(size: str) -> Qwen2ForCausalLM:
    """This rank's shards, each layer wrapped as verl wraps it."""
    torch.manual_seed(dist.get_rank())
    mesh = init_device_mesh("cpu", (dist.get_world_size(),), mesh_dim_names=("fsdp",))
    config = Qwen2Config(
        **SIZES[size],
        num_key_value_heads=2,
        vocab_size=VOCABULARY,
        tie_word_embeddings=False,
        architectures=["Qwen2ForCausalLM"],
        dtype="float32",
    )
    with torch.device("meta"):
        model = Qwen2ForCausalLM(config)
    for layer in model.model.layers:
        fully_shard(layer, mesh=mesh)
    fully_shard(model, mesh=mesh)
    model.to_empty(device="cpu")
    with torch.no_grad():
        for weight in model.parameters():
            weight.to_local().normal_(0, 0.02)
    return model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("role", type=Path)
    parser.add_argument("--size", choices=SIZES, default="1.5b")
    args = parser.parse_args()
    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    rank, world = dist.get_rank(), dist.get_world_size()
    model = sharded_model(args.size)
    args.role.mkdir(parents=True, exist_ok=True)
    torch.save(model.state_dict(), args.role / f"model_world_size_{world}_rank_{rank}.pt")
    if rank == 0:
        model.config.save_pretrained(args.role / "huggingface")
        train_tokenizer(["hello world"]).save_pretrained(args.role / "huggingface")
        (args.role / "fsdp_config.json").write_text(json.dumps({"FSDP_version": 2, "world_size": world}))
    dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
