"""Counts tokens the way the trainer will: the model's chat template, then its tokenizer without special tokens."""

from pathlib import Path

from recipes.common.pieces import Pieces, divisible
from recipes.common.stage.command import Mistake

Message = dict[str, str]
"""{"role": ..., "content": ...}, in this order."""


class Tokens:
    """The tokenizer of one model folder."""

    def __init__(self, model: Path):
        """Loads it from disk alone; a Mistake when it is absent, slow or has no chat template."""
        from transformers import AutoTokenizer

        hint = "name the folder that the model stage made, of an Instruct model"
        if not (model / "tokenizer_config.json").is_file():
            raise Mistake(f"no tokenizer in `{model}`", hint)
        self.tokenizer = AutoTokenizer.from_pretrained(model, local_files_only=True)
        if not self.tokenizer.is_fast:
            raise Mistake(f"the tokenizer in `{model}` has no `tokenizer.json`", hint)
        if not self.tokenizer.chat_template:
            raise Mistake(f"the tokenizer in `{model}` has no chat template", hint)
        # The Rust tokenizer itself counts without making Python lists; some repositories leave a truncation set in it.
        self.core = self.tokenizer.backend_tokenizer
        self.core.no_truncation()
        self.core.no_padding()
        self.pieces = Pieces(self._lengths) if divisible(self.core) else None

    def render(self, messages: list[Message]) -> str:
        """The prompt's text, up to and with the assistant's header."""
        from jinja2 import TemplateError

        try:
            return self.tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
        except TemplateError as problem:
            start = messages[-1]["content"][:40]
            error = f"the model's chat template refuses the chat that ends with `{start}`: {problem}"
            raise Mistake(error, "change such chats, or take a model whose template knows them") from problem

    def lengths(self, texts: list[str]) -> list[int]:
        """Tokens of each text; markers in the text such as <|im_end|> count as one."""
        return self.pieces.lengths(texts) if self.pieces else self._lengths(texts)

    def count(self, messages: list[Message]) -> int:
        """Tokens of the rendered prompt."""
        return self.lengths([self.render(messages)])[0]

    def _lengths(self, texts: list[str]) -> list[int]:
        return [len(encoding) for encoding in self.core.encode_batch_fast(texts, add_special_tokens=False)]
