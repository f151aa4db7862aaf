"""Prompts in the parquet format that verl reads, and the same bytes for the same rows."""

from pathlib import Path
from typing import Any, NamedTuple

from recipes.common.data.rows import read
from recipes.common.stage.command import Mistake
from recipes.common.stage.files import whole_file

COLUMNS = ("data_source", "prompt", "ability", "reward_model", "extra_info")


class Prompt(NamedTuple):
    """One row: a question with what is known of its answer."""

    data_source: str
    question: str
    ability: str
    style: str
    """How an answer is judged: `entropy` (no answer is known), or `rule`."""
    ground_truth: str
    index: int
    """Position in the source file."""
    answer: str = ""
    """The worked solution, where the data set has one."""


def write(path: Path, prompts: list[Prompt], texts: list[str], split: str, template: str) -> None:
    """`path` holds the prompts, each with its text as the one user message; the template is in the file's metadata."""
    import pyarrow as pa
    from pyarrow.parquet import write_table

    text = pa.string()
    schema = pa.schema(
        {
            "data_source": text,
            "prompt": pa.list_(pa.struct({"role": text, "content": text})),
            "ability": text,
            "reward_model": pa.struct({"style": text, "ground_truth": text}),
            "extra_info": pa.struct({"split": text, "index": pa.int64(), "question": text, "answer": text}),
        },
        metadata={"template_type": template},
    )
    lines = [_line(prompt, shown, split) for prompt, shown in zip(prompts, texts, strict=True)]
    with whole_file(path) as file:
        write_table(pa.Table.from_pylist(lines, schema), file)


def read_prompts(path: Path) -> list[Prompt]:
    """The rows that `write` wrote, with their bare questions."""
    prompts = []
    for record in read(path, COLUMNS):
        row: Any = record.value
        info, judged = row["extra_info"], row["reward_model"]
        fixed = (row["ability"], judged["style"], judged["ground_truth"], info["index"], info["answer"])
        prompts.append(Prompt(row["data_source"], info["question"], *fixed))
    return prompts


def template_of(path: Path) -> str:
    """The template that the prompts of the file were written in; a Mistake when it is none of `write`'s."""
    import pyarrow
    from pyarrow.parquet import read_schema

    try:
        metadata = read_schema(path).metadata or {}
        return metadata[b"template_type"].decode()
    except FileNotFoundError:
        raise Mistake(f"no file `{path}`", "`python -m recipes.token_buncher.prepare` writes it") from None
    except (pyarrow.ArrowException, OSError, KeyError):
        hint = "make it with `python -m recipes.token_buncher.prepare`"
        raise Mistake(f"`{path}` is not a parquet file of this recipe", hint) from None


def _line(prompt: Prompt, shown: str, split: str) -> dict[str, Any]:
    return {
        "data_source": prompt.data_source,
        "prompt": [{"role": "user", "content": shown}],
        "ability": prompt.ability,
        "reward_model": {"style": prompt.style, "ground_truth": prompt.ground_truth},
        "extra_info": {
            "split": split,
            "index": prompt.index,
            "question": prompt.question,
            "answer": prompt.answer,
        },
    }
