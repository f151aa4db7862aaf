"""A data set ready to be written: its two splits, a report on its rows, and how a question becomes the text that a
model reads.

The template `chat` leaves that to the trainer, which applies the model's own: what this recipe trains on. The others
write the template into the prompt, for trainers that tokenize it as it is.
"""

from dataclasses import dataclass
from pathlib import Path

from recipes.common.data.tokens import Tokens
from recipes.common.stage import files
from recipes.common.stage.command import Mistake
from recipes.token_buncher.datasets import parquet
from recipes.token_buncher.datasets.parquet import Prompt
from recipes.token_buncher.datasets.report import Report

CHAT = "chat"

TEMPLATES = {
    "base": "### Question\n{}\n\n### Answer\n",
    "qwen": "<|im_start|>system\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant.<|im_end|>\n"
    "<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n",
    "llama-2": "<s>[INST] {} [/INST]",
    "llama-3": "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\n{}<|eot_id|>"
    "<|start_header_id|>assistant<|end_header_id|>\n\n",
    "ministral": "<s>[INST]{}[/INST]",
}
"""The models' published formats of a single turn."""


@dataclass(frozen=True)
class DataSet:
    """Questions for training and for testing."""

    train: list[Prompt]
    test: list[Prompt]
    report: Report


@dataclass(frozen=True)
class Texts:
    """How questions are written for the trainer, and how long they are then."""

    template: str
    tokens: Tokens

    def of(self, questions: list[str]) -> list[str]:
        """The prompts' texts."""
        return [apply_template(self.template, question) for question in questions]

    def lengths(self, questions: list[str]) -> list[int]:
        """Tokens of each prompt as the model gets it, the assistant's header included."""
        texts = self.of(questions)
        if self.template == CHAT:
            texts = [self.tokens.render([{"role": "user", "content": text}]) for text in texts]
        return self.tokens.lengths(texts)


def apply_template(template: str, question: str) -> str:
    """The prompt's text; `chat` is the question itself."""
    if template == CHAT:
        return question
    if template not in TEMPLATES:
        known = "`, `".join([CHAT, *TEMPLATES])
        raise Mistake(f"`--template_type` is `{template}`", f"it is one of `{known}`")
    head, tail = TEMPLATES[template].split("{}")
    return head + question + tail


def save(data_set: DataSet, texts: Texts, out: Path) -> None:
    """`out` holds train.parquet, test.parquet, report.json and metrics.json; the report is printed too."""
    splits = {"train": data_set.train, "test": data_set.test}
    for name, prompts in splits.items():
        if not prompts:
            raise Mistake(f"no rows are left for {name}", "give more rows, or raise `max_prompt_length`")
    data_set.report.check(data_set.train, data_set.test)
    out.mkdir(parents=True, exist_ok=True)
    for name, prompts in splits.items():
        questions = [prompt.question for prompt in prompts]
        data_set.report.split(name, prompts, texts.lengths(questions))
        parquet.write(out / f"{name}.parquet", prompts, texts.of(questions), name, texts.template)
    print(data_set.report)
    files.write_json(out / "report.json", data_set.report.value())
    files.write_json(out / "metrics.json", data_set.report.numbers())
