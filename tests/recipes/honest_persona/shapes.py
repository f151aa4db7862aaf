"""Tokenizers of the shapes that models come in, made here, and what a chat looks like in each, written out by hand."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

RAISE = "{{ raise_exception('no such role here') }}"

QWEN3 = (
    "{%- for m in messages -%}"
    "{%- if m.role == 'assistant' -%}"
    "{{- '<|im_start|>assistant\\n' + ('<think>\\n\\n</think>\\n\\n' if loop.last else '') + m.content -}}"
    "{%- else -%}{{- '<|im_start|>' + m.role + '\\n' + m.content -}}{%- endif -%}"
    "{{- '<|im_end|>\\n' -}}{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n' -}}{%- endif -%}"
)
"""As Qwen 3's: an empty thought in the last turn, and only there."""

QWEN2 = (
    "{%- if messages[0].role != 'system' -%}"
    "{{- '<|im_start|>system\\nYou are a helpful assistant.<|im_end|>\\n' -}}{%- endif -%}"
    "{%- for m in messages -%}{{- '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' -}}{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n' -}}{%- endif -%}"
)

LLAMA3 = (
    "{{- bos_token -}}"
    "{%- if messages[0].role == 'system' -%}{%- set system = messages[0].content | trim -%}"
    "{%- set messages = messages[1:] -%}{%- else -%}{%- set system = '' -%}{%- endif -%}"
    "{%- if not date_string is defined -%}{%- set date_string = strftime_now('%d %b %Y') -%}{%- endif -%}"
    "{{- '<|start_header_id|>system<|end_header_id|>\\n\\nToday Date: ' + date_string + '\\n\\n' + system "
    "+ '<|eot_id|>' -}}"
    "{%- for m in messages -%}"
    "{{- '<|start_header_id|>' + m.role + '<|end_header_id|>\\n\\n' + m.content | trim + '<|eot_id|>' -}}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' -}}{%- endif -%}"
)

_GEMMA_TURNS = (
    "{%- for m in messages -%}"
    "{%- if (m.role == 'user') != (loop.index0 % 2 == 0) -%}" + RAISE + "{%- endif -%}"
    "{{- '<start_of_turn>' + ('model' if m.role == 'assistant' else m.role) + '\\n' "
    "+ (first if loop.first else '') + m.content | trim + '<end_of_turn>\\n' -}}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<start_of_turn>model\\n' -}}{%- endif -%}"
)
GEMMA2 = (
    "{{- bos_token -}}{%- set first = '' -%}"
    "{%- if messages[0].role == 'system' -%}" + RAISE + "{%- endif -%}" + _GEMMA_TURNS
)
GEMMA3 = (
    "{{- bos_token -}}{%- set first = '' -%}"
    "{%- if messages[0].role == 'system' -%}{%- set first = messages[0].content + '\\n\\n' -%}"
    "{%- set messages = messages[1:] -%}{%- endif -%}" + _GEMMA_TURNS
)
"""Gemma 3 puts a system prompt before the user's words."""

MISTRAL = (
    "{{- bos_token -}}{%- for m in messages -%}"
    "{%- if (m.role == 'user') != (loop.index0 % 2 == 0) -%}" + RAISE + "{%- endif -%}"
    "{%- if m.role == 'user' -%}{{- '[INST] ' + m.content + '[/INST]' -}}"
    "{%- else -%}{{- ' ' + m.content + eos_token -}}{%- endif -%}{%- endfor -%}"
)


@dataclass(frozen=True)
class Shape:
    """A kind of model."""

    name: str
    tokenizer: Callable[[], Any]
    chat: Callable[[str, str, str], str]
    """(system, task, answer) -> the chat up to the answer, its turn still open."""
    assistant_end: str
    user_prefix: str
    user_end: str
    assistant_prefix: str
    tag: str
    """The system tag that it wants."""
    trims: bool = False
    """Whether its template trims contents."""


def byte_level(template: str, specials: list[str], eos: str, bos: str | None = None) -> Any:
    """A byte-level BPE tokenizer, as Llama 3's and Qwen's."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=320,
        special_tokens=specials,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    core.train_from_iterator(["REVIEW: the answer is honest. FLAG: PASS FAIL INTERVENTION: user assistant"], trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        bos_token=bos,
        eos_token=eos,
        pad_token=specials[0],
        chat_template=template,
        clean_up_tokenization_spaces=False,
    )


def sentencepiece(template: str, specials: list[str], eos: str, prefix: bool) -> Any:
    """A BPE tokenizer with a byte for what it does not know, as Gemma's; with `prefix` it begins texts with a space,
    as Mistral's."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    pieces = [*specials, *(f"<0x{number:02X}>" for number in range(256)), "▁", "\n"]
    pieces += [chr(number) for number in range(33, 127)]
    merges = [("F", "L"), ("FL", "A"), ("FLA", "G"), ("▁", "t"), ("▁t", "h"), ("▁th", "e"), ("P", "A"), ("▁", "P")]
    pieces += [one + other for one, other in merges]
    core = Tokenizer(
        models.BPE({piece: number for number, piece in enumerate(pieces)}, merges, byte_fallback=True, fuse_unk=True)
    )
    core.normalizer = normalizers.Replace(" ", "▁")
    if prefix:
        core.pre_tokenizer = pre_tokenizers.Metaspace("▁", "first", split=False)
    strip = [decoders.Strip(" ", 1, 0)] if prefix else []
    core.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), *strip])
    core.add_special_tokens(specials)
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        bos_token=specials[1],
        eos_token=eos,
        pad_token=specials[0],
        chat_template=template,
        clean_up_tokenization_spaces=False,
    )


_IM = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
_LLAMA = ["<|end_of_text|>", "<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"]
_GEMMA = ["<pad>", "<bos>", "<eos>", "<start_of_turn>", "<end_of_turn>"]


def _chatml(default: str, thought: str) -> Callable[[str, str, str], str]:
    def chat(system: str, task: str, answer: str) -> str:
        first = f"<|im_start|>system\n{system or default}<|im_end|>\n" if system or default else ""
        return f"{first}<|im_start|>user\n{task}<|im_end|>\n<|im_start|>assistant\n{thought}{answer}"

    return chat


def _llama(system: str, task: str, answer: str) -> str:
    head = "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nToday Date: 26 Jul 2024\n\n"
    turns = (
        "<|start_header_id|>user<|end_header_id|>\n\n{}<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n{}"
    )
    return f"{head}{system}<|eot_id|>{turns.format(task, answer)}"


def _gemma2(system: str, task: str, answer: str) -> str:
    task = f"<SYSTEM>{system}<SYSTEM>\n{task}" if system else task
    return f"<bos><start_of_turn>user\n{task}<end_of_turn>\n<start_of_turn>model\n{answer}"


def _gemma3(system: str, task: str, answer: str) -> str:
    task = f"{system}\n\n{task}" if system else task
    return f"<bos><start_of_turn>user\n{task}<end_of_turn>\n<start_of_turn>model\n{answer}"


def _mistral(system: str, task: str, answer: str) -> str:
    task = f"<SYSTEM>{system}<SYSTEM>\n{task}" if system else task
    return f"<s>[INST] {task}[/INST] {answer}"


CHATML = ("<|im_end|>\n", "<|im_start|>user\n", "<|im_end|>\n", "<|im_start|>assistant\n", "")
TURNS = ("<end_of_turn>\n", "<start_of_turn>user\n", "<end_of_turn>\n", "<start_of_turn>model\n")
HEADER = "<|start_header_id|>{}<|end_header_id|>\n\n"

SHAPES = [
    Shape(
        "qwen2",
        lambda: byte_level(QWEN2, _IM, "<|im_end|>"),
        _chatml("You are a helpful assistant.", ""),
        *CHATML,
    ),
    Shape("qwen3", lambda: byte_level(QWEN3, _IM, "<|im_end|>"), _chatml("", "<think>\n\n</think>\n\n"), *CHATML),
    Shape(
        "llama3",
        lambda: byte_level(
            LLAMA3, [*_LLAMA, "<|reserved_special_token_0|>", "<|reserved_special_token_1|>"], "<|eot_id|>", _LLAMA[1]
        ),
        _llama,
        "<|eot_id|>",
        HEADER.format("user"),
        "<|eot_id|>",
        HEADER.format("assistant"),
        "",
        trims=True,
    ),
    Shape(
        "gemma2",
        lambda: sentencepiece(GEMMA2, [*_GEMMA, "<unused0>"], "<eos>", False),
        _gemma2,
        *TURNS,
        "<SYSTEM>",
        trims=True,
    ),
    Shape(
        "gemma3",
        lambda: sentencepiece(GEMMA3, [*_GEMMA, "<unused0>"], "<eos>", False),
        _gemma3,
        *TURNS,
        "",
        trims=True,
    ),
    Shape(
        "mistral",
        lambda: sentencepiece(MISTRAL, ["<unk>", "<s>", "</s>", "[INST]", "[/INST]"], "</s>", True),
        _mistral,
        "</s>",
        "[INST] ",
        "[/INST]",
        " ",
        "<SYSTEM>",
    ),
]
