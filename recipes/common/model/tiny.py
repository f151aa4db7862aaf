"""A model small enough to train on a laptop's CPU, in the files a real one has: what a rehearsal trains."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast, Qwen2ForCausalLM

VOCABULARY = 512
"""At most so many tokens: 256 bytes, 3 special ones, and merges for the rest."""

POSITIONS = 2048
END_OF_TEXT, START, END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
SYSTEM = "You are a helpful assistant."

CHATML = (
    "{%- if messages[0]['role'] != 'system' -%}"
    "{{- '" + START + "system\\n" + SYSTEM + END + "\\n' -}}"
    "{%- endif -%}"
    "{%- for message in messages -%}"
    "{{- '" + START + "' + message['role'] + '\\n' + message['content'] + '" + END + "\\n' -}}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '" + START + "assistant\\n' -}}{%- endif -%}"
)
"""ChatML as Qwen2.5 renders it: a default system line when the chat has none, a newline after each turn."""

SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""How Qwen2's tokenizer splits text before merging (transformers, `models/qwen2/tokenization_qwen2.py`)."""


Teach = Callable[["Qwen2ForCausalLM", "PreTrainedTokenizerFast"], None]


def save(folder: Path, texts: Iterable[str], seed: int = 0, teach: Teach | None = None) -> None:
    """`folder` holds a 2-layer Qwen2 with random weights and a tokenizer trained on `texts`, as a hub repo would.
    `teach`, if there is one, trains the model before it is saved.

    The same texts and seed give the same bytes, under the same versions of torch, tokenizers and transformers.
    """
    import torch

    tokenizer = train_tokenizer(texts)
    model = random_model(tokenizer, seed)
    if teach:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            teach(model, tokenizer)
    tokenizer.save_pretrained(folder)
    model.save_pretrained(folder)


def train_tokenizer(texts: Iterable[str], vocabulary: int = VOCABULARY) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer that can write any text and writes `texts` shortest; ends turns with <|im_end|>."""
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    core = Tokenizer(models.BPE())
    core.normalizer = normalizers.NFC()
    core.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(SPLIT), "isolated"), pre_tokenizers.ByteLevel(False, use_regex=False)]
    )
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[END_OF_TEXT, START, END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    core.train_from_iterator([*texts, SYSTEM, "system", "user", "assistant"], trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        eos_token=END,
        pad_token=END_OF_TEXT,
        extra_special_tokens=[START],
        chat_template=CHATML,
        model_max_length=POSITIONS,
        clean_up_tokenization_spaces=False,
    )


def random_model(tokenizer: PreTrainedTokenizerFast, seed: int) -> Qwen2ForCausalLM:
    """A fp32 Qwen2: 2 layers, hidden 64, 2 heads on one key-value head; torch's own random state is left as it was.

    A head has 32 numbers: vLLM on a CPU has no smaller ones (vllm/v1/attention/backends/cpu_attn.py)."""
    import torch
    from transformers import GenerationConfig, Qwen2Config, Qwen2ForCausalLM

    ends = {"bos_token_id": None, "eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id}
    config = Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=POSITIONS,
        tie_word_embeddings=False,
        dtype="float32",
        **ends,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Qwen2ForCausalLM(config)
    model.generation_config = GenerationConfig(do_sample=True, temperature=1.0, max_new_tokens=64, **ends)
    return model
