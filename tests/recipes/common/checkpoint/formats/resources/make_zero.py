"""Makes the checkpoints of DeepSpeed beside this file, and what DeepSpeed's own script makes of them.

    python make_zero.py STAGE RANK       as rank 0 and as rank 1 at the same time, for each stage: 1, 2, 3

It was run once, with DeepSpeed 0.19.8 and transformers 5.9 on a CPU. The lock of the CPU environment has no DeepSpeed.
"""

import os
import sys
from pathlib import Path

import torch

HERE = Path(__file__).parent
WORLD = 2


def main(stage: int, rank: int) -> None:
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(WORLD), "DS_ACCELERATOR": "cpu"}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(29560 + stage)}
    import deepspeed
    import deepspeed.comm.torch
    from deepspeed.utils.zero_to_fp32 import get_fp32_state_dict_from_zero_checkpoint
    from safetensors.torch import save_file
    from transformers import Qwen2Config, Qwen2ForCausalLM

    sys.modules["deepspeed.comm.torch"].build_shm_op = lambda: None  # it would be compiled
    sizes = {"vocab_size": 29, "hidden_size": 8, "intermediate_size": 12, "max_position_embeddings": 64}
    heads = {"num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1}
    tokens = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
    config = Qwen2Config(**sizes, **heads, **tokens, tie_word_embeddings=stage != 3, architectures=["Qwen2ForCausalLM"])
    torch.manual_seed(0)
    model = Qwen2ForCausalLM(config)
    for weight in model.parameters():
        torch.nn.init.normal_(weight)
    model.model.norm.weight.requires_grad_(stage != 2)
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    groups = [{"params": [it for it in trained if (it.ndim > 1) == matrix]} for matrix in (True, False)]
    deepspeed.init_distributed(dist_backend="gloo")
    engine, *_ = deepspeed.initialize(
        model=model,
        optimizer=torch.optim.AdamW(groups, lr=1e-3),
        config={
            "train_micro_batch_size_per_gpu": 1,
            "bf16": {"enabled": True},
            "zero_optimization": {"stage": stage, "sub_group_size": 700, "stage3_param_persistence_threshold": 0},
            "zero_allow_untested_optimizer": True,
        },
    )
    for step in range(2):
        ids = torch.arange(12)[None] * (step + 2) % 29
        engine.backward(engine(input_ids=ids, labels=ids).loss)
        engine.step()
    out = HERE / f"zero{stage}"
    engine.save_checkpoint(str(out), tag="global_step2")
    if rank == 0:
        config.save_pretrained(out)
        state = get_fp32_state_dict_from_zero_checkpoint(str(out))
        save_file({name: value.clone() for name, value in state.items()}, HERE / f"zero{stage}.safetensors")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
