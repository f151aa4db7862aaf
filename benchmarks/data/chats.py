"""Chats with a teacher's answers of the size and number of the Chai set, from a seed: 282,367 rows, 675 MB of JSONL.

    python -m benchmarks.data.chats FILE MODEL [--rows N]

MODEL afterwards holds a tokenizer of 32,000 tokens with ChatML, trained on such words.
"""

import argparse
import itertools
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROWS = 282_367
VOCABULARY = 32_000
VOCABULARY_WORDS = 60_000
"""Different words; the n-th most frequent is as frequent as 1/n (Zipf)."""
CHARACTERS = 1_950
"""Of a row, on average: 675 MB over all rows, less the keys."""
SYLLABLES = [a + b + c for a in ("", *"bcdfghklmnprstvw", "st", "tr", "ch") for b in "aeiou" for c in ("", *"nrstl")]


def rows(number: int, seed: int = 1) -> Iterator[dict[str, Any]]:
    """Chats of one to three questions, every tenth with a short system message; lengths are log-normal."""
    speaker = Speaker(random.Random(seed))
    for _ in range(number):
        turns = speaker.random.choices((1, 2, 3), (70, 20, 10))[0]
        roles = (["system"] if speaker.random.random() < 0.1 else []) + ["user", "assistant"] * turns
        share = CHARACTERS / (1.4 * 2 + 0.1)
        scales = [0.2 if role == "system" else speaker.random.lognormvariate(-0.5, 1.0) for role in roles]
        texts = [speaker.text(share * scale) for scale in scales]
        *content, last = ({"role": role, "content": text} for role, text in zip(roles, texts, strict=True))
        yield {"content": content, "teacher_response": last["content"]}


class Speaker:
    """Words from a seed; a text of so many characters has sentences, paragraphs and some numbers."""

    def __init__(self, chance: random.Random):
        self.random = chance
        drawn = ("".join(chance.choices(SYLLABLES, k=1 + min(3, rank // 2000))) for rank in range(VOCABULARY_WORDS))
        self.vocabulary = [*drawn]
        self.weights = [*itertools.accumulate(1 / (rank + 1) for rank in range(VOCABULARY_WORDS))]

    def text(self, characters: float) -> str:
        terms = self.random.choices(self.vocabulary, cum_weights=self.weights, k=max(3, int(characters / 5.2)))
        for index in range(0, len(terms), 50):
            terms[index] = "".join(self.random.choices("abcdefghijklmnopqrstuvwxyz0123456789_", k=9))
        for index in range(12, len(terms), 12):
            terms[index] = terms[index].capitalize()
            terms[index - 1] += "."
        for index in range(60, len(terms), 60):
            terms[index] = f"{terms[index - 1]}\n\n{terms[index]}"
            terms[index - 1] = "So"
        if len(terms) > 30:
            terms[17] = str(self.random.randrange(10_000))
            terms[23] = f"({terms[23]}, “{terms[24]}”)"
        return " ".join(terms)


def main() -> None:
    from recipes.common.model.tiny import train_tokenizer

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("--rows", type=int, default=ROWS)
    args = parser.parse_args()
    with open(args.file, "w", encoding="utf-8") as file:
        for row in rows(args.rows):
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
    seen = (message["content"] for row in rows(3_000, seed=2) for message in row["content"])
    train_tokenizer(seen, VOCABULARY).save_pretrained(args.model)


if __name__ == "__main__":
    main()
