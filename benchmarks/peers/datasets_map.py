"""What recipes.gad.data does to a file's rows, as one would write it with `datasets.map`; the peer of bench_gad_data.

    python -m benchmarks.peers.datasets_map FILE MODEL OUT.parquet --limit N [--processes N]

Not done here: the look for duplicates, the report.
"""

import argparse
import tempfile
from itertools import pairwise
from pathlib import Path
from typing import Any

from datasets import Features, List, Value, load_dataset
from transformers import AutoTokenizer

from recipes.gad.truncate import fit

COLUMNS = Features(
    {
        "data_source": Value("string"),
        "prompt": List({"role": Value("string"), "content": Value("string")}),
        "ability": Value("string"),
        "reward_model": {"style": Value("string"), "ground_truth": Value("string")},
        "extra_info": {"split": Value("string"), "index": Value("int64"), "teacher_response": Value("string")},
        "prompt_tokens": Value("int64"),
        "response_tokens": Value("int64"),
    }
)


def convert(row: dict[str, Any], index: int, tokenizer: Any, limit: int) -> dict[str, Any]:
    """The row in verl's format, checked, its prompt within the limit."""
    prompt, teacher = row["content"], row["teacher_response"]
    roles = [message["role"] for message in prompt]
    turns = roles[1:] if roles[0] == "system" else roles
    good = turns[-1] == "user" and all(role != other for role, other in pairwise(turns))
    if not good or not teacher.strip() or not all(message["content"].strip() for message in prompt):
        raise ValueError(f"row {index + 1}")

    def count(messages: list[dict[str, str]]) -> int:
        return len(tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=False))

    length = count(prompt)
    shortened = prompt if length <= limit else fit(prompt, limit, count).messages
    return {
        "data_source": "gad",
        "prompt": shortened,
        "ability": "chat",
        "reward_model": {"style": "teacher", "ground_truth": teacher},
        "extra_info": {"split": "train", "index": index, "teacher_response": teacher},
        "prompt_tokens": length,
        "response_tokens": len(tokenizer(teacher, add_special_tokens=False)["input_ids"]) + 1,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file")
    parser.add_argument("model", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--limit", type=int, required=True, help="tokens of a prompt")
    parser.add_argument("--processes", type=int, default=1)
    args = parser.parse_args()
    tokenizer = AutoTokenizer.from_pretrained(args.model)
    with tempfile.TemporaryDirectory(dir=args.out.parent) as cache:  # what it kept of the last round would be taken
        rows = load_dataset("json", data_files=args.file, split="train", cache_dir=cache)
        converted = rows.map(
            convert,
            with_indices=True,
            fn_kwargs={"tokenizer": tokenizer, "limit": args.limit},
            remove_columns=rows.column_names,
            features=COLUMNS,
            num_proc=args.processes if args.processes > 1 else None,
        )
        converted.to_parquet(args.out)


if __name__ == "__main__":
    main()
