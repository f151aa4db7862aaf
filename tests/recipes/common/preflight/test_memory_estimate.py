"""Sums that can be checked by hand, and one that somebody measured."""

import json

import pytest

from recipes.common.preflight import memory_estimate
from recipes.common.preflight.memory_fit import CONTEXT
from recipes.common.stage.command import StageError

LLAMA_3B = memory_estimate.Shape(28, 3072, 8192, 128256, 3072, 1024, True)
LLAMA_8B = memory_estimate.Shape(32, 4096, 14336, 128256, 4096, 1024, False)


def test_the_shapes_have_about_as_many_weights_as_the_models():
    assert LLAMA_3B.linear + LLAMA_3B.embeddings == pytest.approx(3.2127e9, rel=1e-3)
    assert LLAMA_8B.linear + LLAMA_8B.embeddings == pytest.approx(8.0303e9, rel=1e-3)


def test_an_adapter_of_rank_8_on_llama_3b_is_as_large_as_it_was_measured():
    assert LLAMA_3B.lora(8) == 12_156_928


def test_four_bits_are_a_quarter_of_the_layers_and_none_of_the_embeddings():
    whole, packed = (memory_estimate.weights(LLAMA_8B, "bfloat16", nf4) for nf4 in (False, True))
    assert whole == pytest.approx(16.06e9, rel=1e-3)
    assert (
        packed
        == LLAMA_8B.linear * memory_estimate.NF4_BYTES + LLAMA_8B.embeddings * 2
        == pytest.approx(5.70e9, rel=1e-2)
    )


def test_keys_and_values_of_a_token():
    assert memory_estimate.cache(LLAMA_8B, "bfloat16", 1) == 2 * 32 * 1024 * 2


def test_recomputing_saves_all_layers_but_one():
    kept, again = (
        memory_estimate.training(LLAMA_3B, "bfloat16", True, 12_156_928, 8192, once) for once in (False, True)
    )
    assert kept["activations"] > 8 * again["activations"]
    assert {name: kept[name] for name in ("weights", "optimizer")} == {
        name: again[name] for name in ("weights", "optimizer")
    }


def test_all_weights_take_their_gradients_and_states_with_them():
    count = LLAMA_3B.linear + LLAMA_3B.embeddings
    whole = memory_estimate.whole(LLAMA_3B, "bfloat16", "adamw_torch", 8192, True)
    states = {"weights": 4.0 * count, "gradients": 4.0 * count, "optimizer": 8.0 * count}
    assert whole.items() >= (states | {"autocast": 2.0 * LLAMA_3B.linear}).items()
    assert memory_estimate.whole(LLAMA_3B, "float32", "paged_adamw_8bit", 8192, True)["optimizer"] == 2.0 * count
    adapter = memory_estimate.training(LLAMA_3B, "bfloat16", False, 12_156_928, 8192, True)
    assert {name: whole[name] for name in ("activations", "logits")} == {
        name: adapter[name] for name in ("activations", "logits")
    }


QWEN_7B = memory_estimate.Shape(32, 4096, 11008, 151936, 4096, 4096, False)
QWEN_14B = memory_estimate.Shape(40, 5120, 13696, 152064, 5120, 5120, False)
QWEN25_7B = memory_estimate.Shape(28, 3584, 18944, 152064, 3584, 512, False)


@pytest.mark.parametrize(
    ("shape", "measured"),
    [(QWEN_7B, (20.1, 20.4, 21.5, 23.8, 29.7, 36.6)), (QWEN_14B, (34.6, 35.1, 35.3, 37.4, 42.5, 55.2))],
    ids=["7B", "14B"],
)
def test_training_an_adapter_takes_what_qwen_measured_on_an_a100(shape, measured):
    """GB of LoRA (rank 64, bf16, recomputed activations) on one sequence of 256 ... 8,192 tokens:
    github.com/QwenLM/Qwen, README, "Profiling of Memory and Speed"."""
    for tokens, found in zip((256, 512, 1024, 2048, 4096, 8192), measured, strict=True):
        parts = memory_estimate.training(shape, "bfloat16", False, shape.lora(64), tokens, True)
        error = (sum(parts.values()) + CONTEXT) / 1e9 / found - 1
        assert (-0.04 if tokens <= 2048 else -0.1) < error < 0.02, (tokens, error)


@pytest.mark.parametrize(
    ("shape", "nf4", "length", "measured", "error"),
    [
        (LLAMA_8B, True, 808, 5.71, 0.02),  # synthetic_instruct's source: Llama-3.1-8B-Instruct, A100
        (QWEN25_7B, False, 2049, 14.38, 0.07),  # the rest: qwen.readthedocs.io/en/v2.5, speed benchmark, transformers
        (QWEN25_7B, False, 8192, 15.38, 0.02),
        (QWEN25_7B, False, 16384, 16.91, -0.04),
        (QWEN25_7B, False, 32768, 19.97, -0.14),
    ],
)
def test_writing_one_text_takes_what_was_measured_on_an_a100(shape, nf4, length, measured, error):
    predicted = sum(memory_estimate.generating(shape, "bfloat16", nf4, 1, length).values())
    assert predicted / 1e9 / measured - 1 == pytest.approx(error, abs=0.006)


def test_numbers_are_the_sum_its_parts_and_the_peak():
    assert memory_estimate.numbers({"weights": 2e9, "kv_cache": 5e8}, 3_000_000_000) == {
        "memory_predicted_gb": 2.5,
        "memory_peak_gb": 3.0,
        "memory_weights_gb": 2.0,
        "memory_kv_cache_gb": 0.5,
    }


def test_the_shape_is_read_from_the_configuration(tmp_path):
    config = {
        "num_hidden_layers": 28,
        "hidden_size": 3072,
        "intermediate_size": 8192,
        "vocab_size": 128256,
        "num_attention_heads": 24,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "tie_word_embeddings": True,
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert memory_estimate.shape_of(tmp_path) == LLAMA_3B
    del config["intermediate_size"]
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(StageError) as caught:
        memory_estimate.shape_of(tmp_path)
    assert caught.value.error == f"`{tmp_path / 'config.json'}` has no `intermediate_size`"
    assert caught.value.hint == "name the folder of a decoder model"
