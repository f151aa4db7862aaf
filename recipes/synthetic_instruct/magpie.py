"""What a chat model has read when a user begins to write: given that and nothing else, it writes the user's part.

That is Magpie (arXiv:2406.08464). The text comes from the tokenizer's own chat template, by a marker in the place of
the user's words, and goes to the model as ids, so that nothing can put another BOS before it.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from recipes.common.inference.chat_model import special_ids, turn_close, turn_ends
from recipes.common.stage.command import StageError
from recipes.synthetic_instruct.chat import one_bos

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

MARKER, OTHER = "@@MARKER@@", "@@OTHER@@"

KNOWN = {
    "Llama-3": "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\n",
    "Qwen2.5": (
        "<|im_start|>system\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant.<|im_end|>\n"
        "<|im_start|>user\n"
    ),
    "Qwen2": "<|im_start|>user\n",
    "Yi-1.5": "<|startoftext|><|im_start|>user\n",
    "Mistral-v0.3": "<s> [INST] ",
    "Gemma-2": "<bos><start_of_turn>user\n\n",
    "Gemma-1.1": "<bos><start_of_turn>user\n",
    "Phi-3-mini": "<s> <|user|>\n",
    "Phi-3-small": "<|endoftext|><|user|>\n",
}
"""The texts that Magpie's authors used (magpie-align/magpie, b734a36)."""


@dataclass(frozen=True)
class PreQuery:
    """What an instruction is drawn after, and what ends it."""

    text: str
    ids: list[int]
    stop: tuple[int, ...]
    known: str | None
    """The family in KNOWN that has the same text; None: a new one."""


def prequery(tokenizer: "PreTrainedTokenizerBase") -> PreQuery:
    """Of a chat model's tokenizer. Where the template begins with a system message of its own, the text is with it or
    without it, whichever KNOWN has; with it where KNOWN has neither."""
    whole = _before(tokenizer, [{"role": "user", "content": MARKER}])
    bare = (tokenizer.bos_token if tokenizer.bos_token and whole.startswith(tokenizer.bos_token) else "") + _header(
        tokenizer
    )
    families = {text: name for name, text in KNOWN.items()}
    text = whole if whole in families or bare not in families else bare
    ids = one_bos(tokenizer.encode(text, add_special_tokens=False), tokenizer.bos_token_id, "the pre-query prefix")
    return PreQuery(text, ids, ends(tokenizer), families.get(text))


def ends(tokenizer: "PreTrainedTokenizerBase") -> tuple[int, ...]:
    """The tokens after which somebody's turn is over: the end of the assistant's, the model's own, and a header's."""
    first = tokenizer.encode(_header(tokenizer), add_special_tokens=False)[:1]
    header = [token for token in first if token in special_ids(tokenizer)]
    tokens = tuple(dict.fromkeys([*turn_ends(tokenizer), *header]))
    if not tokens:
        raise StageError("the generator's chat template ends a turn with no special token", "use another generator")
    return tokens


def first_token_bans(tokenizer: "PreTrainedTokenizerBase", beginnings: list[str]) -> tuple[int, ...]:
    """The tokens whose text, without the space before it, is one of the beginnings repeated: `#` also bans `###`."""
    if not beginnings:
        return ()
    texts = {token: tokenizer.decode([token]).strip() for token in range(len(tokenizer))}
    return tuple(
        token
        for token, text in texts.items()
        if text and any(beginning and text == beginning * (len(text) // len(beginning)) for beginning in beginnings)
    )


def _header(tokenizer: "PreTrainedTokenizerBase") -> str:
    """What stands between the end of the assistant's turn and the user's next words."""
    chat = [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": OTHER},
        {"role": "user", "content": MARKER},
    ]
    between = _before(tokenizer, chat).rpartition(OTHER)[2]
    return between.removeprefix(turn_close(tokenizer))


def _before(tokenizer: "PreTrainedTokenizerBase", chat: list[dict[str, str]]) -> str:
    """The rendered chat up to the marker."""
    if not tokenizer.chat_template:
        raise StageError("the generator's tokenizer has no chat template", "name an Instruct model as the generator")
    before, marker, _ = tokenizer.apply_chat_template(chat, tokenize=False).rpartition(MARKER)
    if not marker:
        raise StageError("the generator's chat template does not repeat the user's words", "use another generator")
    return before
