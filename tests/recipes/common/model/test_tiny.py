"""The 2-layer model that rehearsals train."""

import subprocess
import sys

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from recipes.common.model import tiny

TEXTS = ["How are you today? Fine, thank you.", "Why is the sky blue? Because air scatters blue light."]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiny")
    tiny.save(folder, TEXTS)
    return folder


@pytest.fixture(scope="module")
def tokenizer(folder):
    return AutoTokenizer.from_pretrained(folder)


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_it_loads_as_a_qwen2_of_two_layers(folder):
    model = AutoModelForCausalLM.from_pretrained(folder)
    config = model.config
    assert config.architectures == ["Qwen2ForCausalLM"]
    assert (config.num_hidden_layers, config.hidden_size) == (2, 64)
    assert (config.num_attention_heads, config.num_key_value_heads) == (2, 1)
    assert not config.tie_word_embeddings
    assert {weight.dtype for weight in model.parameters()} == {torch.float32}
    assert model.lm_head.weight.data_ptr() != model.model.embed_tokens.weight.data_ptr()


def test_its_tokenizer_ends_turns_and_pads_as_qwen2_does(folder, tokenizer):
    model = AutoModelForCausalLM.from_pretrained(folder)
    assert (tokenizer.eos_token, tokenizer.pad_token) == ("<|im_end|>", "<|endoftext|>")
    assert len(tokenizer) == model.config.vocab_size <= 512
    assert model.generation_config.eos_token_id == model.config.eos_token_id == tokenizer.eos_token_id
    assert model.generation_config.pad_token_id == tokenizer.pad_token_id


def test_it_generates(folder, tokenizer):
    model = AutoModelForCausalLM.from_pretrained(folder)
    prompt = tokenizer.apply_chat_template(
        [{"role": "user", "content": "Why?"}], add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    assert model.generate(**prompt, max_new_tokens=4).shape[1] > prompt["input_ids"].shape[1]


def test_a_chat_is_rendered_as_qwen2_5_does(tokenizer):
    chat = [{"role": "user", "content": "Why?"}, {"role": "assistant", "content": "So."}]
    assert tokenizer.apply_chat_template(chat, tokenize=False) == (
        "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
        "<|im_start|>user\nWhy?<|im_end|>\n<|im_start|>assistant\nSo.<|im_end|>\n"
    )
    system = [{"role": "system", "content": "Be brief."}, chat[0]]
    assert tokenizer.apply_chat_template(system, tokenize=False, add_generation_prompt=True) == (
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nWhy?<|im_end|>\n<|im_start|>assistant\n"
    )


@pytest.mark.parametrize("text", ["How are you?", "naïve café", "日本語", "👩‍👩‍👧 🎉", "x = {'a': 1}\n\t\u0000"])
def test_any_text_survives_the_tokenizer(tokenizer, text):
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text


def test_markers_are_one_token_each(tokenizer):
    assert tokenizer.convert_tokens_to_ids(tokenizer.tokenize("<|im_start|><|im_end|><|endoftext|>")) == [1, 2, 0]


def test_another_process_makes_the_same_bytes(folder, tmp_path, pytestconfig):
    program = (
        "import pathlib, sys; from recipes.common.model.tiny import save; save(pathlib.Path(sys.argv[1]), sys.argv[2:])"
    )
    subprocess.run([sys.executable, "-c", program, tmp_path, *TEXTS], cwd=pytestconfig.rootpath, check=True)
    assert contents(tmp_path) == contents(folder)


def test_another_seed_changes_the_weights_alone(folder, tmp_path):
    tiny.save(tmp_path, TEXTS, seed=1)
    first, second = contents(folder), contents(tmp_path)
    assert [name for name in sorted(first) if first[name] != second[name]] == ["model.safetensors"]


def test_the_random_state_of_torch_is_left_as_it_was(tokenizer):
    before = torch.random.get_rng_state()
    tiny.random_model(tokenizer, 3)
    assert torch.equal(torch.random.get_rng_state(), before)
