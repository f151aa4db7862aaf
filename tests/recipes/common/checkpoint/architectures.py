"""Small models of the classes that people train, each made from a configuration."""

from typing import Any

SMALL = {
    "vocab_size": 96,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 24}
THETA = {"rope_type": "default", "rope_theta": 50_000.0}
"""Of no class's own, so that a reader who misses it computes something else."""
VISION = {"depth": 2, "embed_dim": 32, "num_heads": 2, "hidden_size": 32, "patch_size": 4, "in_channels": 3}
IMAGES = {"image_token_id": 3, "video_token_id": 4, "vision_start_token_id": 5, "vision_end_token_id": 6}
SECTIONS = {**THETA, "mrope_section": [1, 1, 2]}

CONFIGURATIONS: dict[str, dict[str, Any]] = {
    "LlamaForCausalLM": {
        "rope_parameters": {
            "rope_type": "llama3",
            "rope_theta": 50_000.0,
            "factor": 8.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 32,
        }
    },
    "MistralForCausalLM": {"head_dim": 8},
    "Qwen2ForCausalLM": {"tie_word_embeddings": True},
    "Qwen3ForCausalLM": {"head_dim": 8},
    "GemmaForCausalLM": {"head_dim": 8},
    "Gemma2ForCausalLM": {"head_dim": 8, "query_pre_attn_scalar": 8},
    "Gemma3ForCausalLM": {
        "head_dim": 8,
        "query_pre_attn_scalar": 8,
        "layer_types": ["sliding_attention", "full_attention"],
        "sliding_window": 8,
        "rope_parameters": {
            "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 70_000.0},
            "sliding_attention": THETA,
        },
    },
    "Phi3ForCausalLM": {
        "original_max_position_embeddings": 32,
        "rope_parameters": {
            "rope_type": "longrope",
            "rope_theta": 50_000.0,
            "short_factor": [1.0, 1.5, 2.0, 3.0],
            "long_factor": [4.0, 5.0, 6.0, 7.0],
        },
    },
    "GPTNeoXForCausalLM": {"tie_word_embeddings": True, "rope_parameters": {**THETA, "partial_rotary_factor": 0.5}},
    "StableLmForCausalLM": {"rope_parameters": {**THETA, "partial_rotary_factor": 0.5}},
    "Glm4ForCausalLM": {"head_dim": 8, "rope_parameters": {**THETA, "partial_rotary_factor": 0.5}},
    "Olmo2ForCausalLM": {},
    "Qwen2MoeForCausalLM": {**EXPERTS, "shared_expert_intermediate_size": 24},
    "Qwen3MoeForCausalLM": {**EXPERTS, "head_dim": 8},
    "MixtralForCausalLM": {"num_local_experts": 4, "num_experts_per_tok": 2},
    "OlmoeForCausalLM": {"num_experts": 4, "num_experts_per_tok": 2},
    "DeepseekV3ForCausalLM": {
        "n_routed_experts": 4,
        "n_group": 2,
        "topk_group": 1,
        "num_experts_per_tok": 2,
        "moe_intermediate_size": 24,
        "first_k_dense_replace": 1,
        "kv_lora_rank": 16,
        "q_lora_rank": 16,
        "qk_rope_head_dim": 8,
        "qk_nope_head_dim": 8,
        "v_head_dim": 8,
        "num_key_value_heads": 4,
    },
    "GptOssForCausalLM": {
        "num_local_experts": 4,
        "num_experts_per_tok": 2,
        "head_dim": 8,
        "sliding_window": 8,
        "rope_parameters": {
            "rope_type": "yarn",
            "rope_theta": 50_000.0,
            "factor": 4.0,
            "beta_fast": 32.0,
            "beta_slow": 1.0,
            "truncate": False,
            "original_max_position_embeddings": 32,
        },
    },
    "Qwen2VLForConditionalGeneration": {
        "text_config": {**SMALL, "rope_parameters": SECTIONS},
        "vision_config": {**VISION, "mlp_ratio": 2},
        **IMAGES,
    },
    "Qwen2_5_VLForConditionalGeneration": {
        "text_config": {**SMALL, "rope_parameters": SECTIONS},
        "vision_config": {**VISION, "out_hidden_size": 32, "intermediate_size": 48, "fullatt_block_indexes": [1]},
        **IMAGES,
    },
    "Gemma3ForConditionalGeneration": {
        "text_config": {**SMALL, "head_dim": 8, "query_pre_attn_scalar": 8},
        "vision_config": {
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "image_size": 16,
            "patch_size": 4,
        },
        "mm_tokens_per_image": 4,
        "image_token_index": 3,
        "boi_token_index": 4,
        "eoi_token_index": 5,
    },
}
"""Class -> what differs from SMALL; a model of text and images has its text part in `text_config`."""


def model_of(
    architecture: str, configuration: dict[str, Any] | None = None, sizes: dict[str, int] | None = None
) -> Any:
    """A model of that class in float32, its weights drawn with the same seed each time, none of them zero. `sizes` are
    in place of those here."""
    import torch
    import transformers

    kind = getattr(transformers, architecture)
    more = configuration or CONFIGURATIONS[architecture]
    values = more if "text_config" in more else {**SMALL, "rope_parameters": THETA, **more, **(sizes or {})}
    config = kind.config_class(**values)
    config.architectures = [architecture]
    torch.manual_seed(0)
    model = kind(config).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.copy_(torch.randn_like(weight) * 0.4)
    return model
