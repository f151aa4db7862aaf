"""Writes several profiles of each author: the candidates of a tournament.

    python -m recipes.profile_dpo.generate SETTINGS.json --model MODEL --data SETUP --out OUT --work WORK [--round 2]

OUT holds candidates.jsonl, {"unit", "abstracts", "prompt", "profiles": [...]} for each author with two different
profiles or more, and metrics.json, which counts what was left out and why. WORK keeps each author's texts: a second
start goes on with the next authors, and writes what it would have written.
"""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

from recipes.common.inference.types import Sampling
from recipes.common.stage.command import Progress, StageError, StopSignal, run
from recipes.common.stage.files import write_json
from recipes.common.stage.inputs import StageInputs, read_stage
from recipes.common.stage.journal import Batches, Journal, read_jsonl, write_jsonl
from recipes.common.stage.settings import check_choice, check_least, check_share
from recipes.profile_dpo import profile
from recipes.profile_dpo.similarity import different
from recipes.profile_dpo.writer import Speaker, Writing, ask, open_writer

METHODS = ("sampling", "beams")
ROUND = 1 << 24
"""Seeds between two rounds, more than a round has texts: where the model has stayed the same, they are other texts."""


@dataclass(frozen=True)
class Settings(Writing):
    """The stage's JSON, key by key."""

    candidates: int
    """Profiles of an author."""
    method: str
    """sampling; or beams: diverse beam search, which only transformers does."""
    temperature: float
    """Of sampling; of beams, the penalty for a token that an earlier beam has in the same place."""
    top_p: float
    likeness: float
    """Profiles that are more alike are one."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice(self, "method", METHODS)
        if self.method == "beams" and self.engine != "transformers":
            raise ValueError(
                f"`method` is `beams`, which `engine` `{self.engine}` does not support; use `transformers`"
            )
        check_least(self, 2, "candidates")
        if self.temperature <= 0:
            raise ValueError(f"`temperature` is `{self.temperature}`, not above 0: all candidates would be the same")
        check_share(self, "(0, 1]", "top_p", "likeness")


Write = Callable[[list[dict[str, Any]], int], list[list[tuple[str, int]]]]
"""Each author's candidates with their tokens, of a batch of authors and the place of its first among all."""


@dataclass(frozen=True, kw_only=True)
class Inputs(StageInputs):
    model: Path
    data: Path
    round: Annotated[int, {"help": "which of several, from 1 on"}] = 1


def main(argv: list[str] | None = None) -> None:
    """Runs the stage."""
    stop = StopSignal()
    inputs, settings = read_stage(__doc__, Inputs, Settings, argv)
    settings = replace(settings, seed=settings.seed + (inputs.round - 1) * ROUND)
    journal, progress = Journal(inputs.work), Progress(inputs.work)
    writer = open_writer(inputs.model, settings)
    units = list(read_jsonl(inputs.data / "train.jsonl"))
    write_all(units, journal, settings, writing(writer, settings), progress, stop)
    candidates, failed = candidates_of(units, journal.rows, settings.likeness)
    write_jsonl(inputs.out / "candidates.jsonl", candidates)
    numbers = summary(journal.rows, candidates, failed, settings)
    write_json(inputs.out / "metrics.json", numbers | writer.numbers(settings.at_once))
    print("  ".join(f"{name} {value:.6g}" for name, value in numbers.items()))
    if not candidates:
        raise StageError(
            f"no author of {len(units):,} has two different profiles; texts that are none: {dict(failed)}",
            "read `texts` in rows.jsonl of the stage's work folder; the writer must be an Instruct model",
        )


def writing(writer: Speaker, settings: Settings) -> Write:
    """A function that writes candidates: `candidates` samples, or as many groups of beams."""
    stop = writer.stop

    def sample(units: list[dict[str, Any]], start: int) -> list[list[tuple[str, int]]]:
        sampling = Sampling(settings.profile_tokens, settings.temperature, settings.top_p, stop)
        count = settings.candidates
        prompts = [unit["ids"] for unit in units for _ in range(count)]
        texts = writer.write(prompts, sampling, settings.seed + start * count)
        return [texts[index * count :][:count] for index in range(len(units))]

    def search(units: list[dict[str, Any]], start: int) -> list[list[tuple[str, int]]]:
        from recipes.profile_dpo.beam_search import Search, diverse

        how = Search(settings.candidates, settings.temperature, settings.profile_tokens, stop)
        beams = [diverse(writer.engine.model, unit["ids"], how) for unit in units]
        return [
            [(writer.tokenizer.decode(ids, skip_special_tokens=True), len(ids)) for ids in texts] for texts in beams
        ]

    write = sample if settings.method == "sampling" else search

    def each(units: list[dict[str, Any]], start: int) -> list[list[tuple[str, int]]]:
        prompts = [unit | {"ids": ask(writer, unit["prompt"])} for unit in units]
        short = [unit for unit in prompts if len(unit["ids"]) <= settings.prompt_tokens]
        texts_of = dict(zip([unit["unit"] for unit in short], write(short, start) if short else [], strict=True))
        return [texts_of.get(unit["unit"], []) for unit in units]

    return each


def write_all(
    units: list[dict[str, Any]],
    journal: Journal,
    settings: Settings,
    write: Write,
    progress: Progress,
    stop: Callable[[], bool],
) -> None:
    """The journal holds each author's texts, in order. Raises Interrupted after `stop`."""

    def make(part: list[dict[str, Any]], start: int) -> list[dict[str, Any]]:
        began = time.monotonic()
        texts_of_authors = write(part, start)
        seconds = round((time.monotonic() - began) / len(part), 4)
        return [
            {
                "unit": unit["unit"],
                "texts": [text for text, _ in texts],
                "tokens": sum(count for _, count in texts),
                "seconds": seconds,
            }
            for unit, texts in zip(part, texts_of_authors, strict=True)
        ]

    each = max(1, settings.at_once // settings.candidates)
    batches = Batches(each, settings.keep_every, "author", "profiles of {:,} of {:,} authors are written")
    batches.extend(journal, units, make, progress, stop)


def candidates_of(
    units: list[dict[str, Any]], rows: list[dict[str, Any]], likeness: float
) -> tuple[list[dict[str, Any]], Counter[str]]:
    """The authors with two different profiles or more, and how many texts are no profile, by reason."""
    candidates, failed = [], Counter[str]()
    for unit, row in zip(units, rows, strict=True):
        results = [profile.parse(profile.START + text) for text in row["texts"]]
        failed.update(parsed for parsed in results if isinstance(parsed, str))
        profiles = different([parsed.text() for parsed in results if not isinstance(parsed, str)], likeness)
        if len(profiles) > 1:
            candidates.append(unit | {"profiles": profiles})
    return candidates, failed


def summary(
    rows: list[dict[str, Any]], candidates: list[dict[str, Any]], failed: Counter[str], settings: Settings
) -> dict[str, Any]:
    """The stage's numbers."""
    texts = sum(len(row["texts"]) for row in rows)
    kept = sum(len(unit["profiles"]) for unit in candidates)
    return {
        "authors": len(rows),
        "authors_kept": len(candidates),
        "too_long": sum(not row["texts"] for row in rows),
        "texts": texts,
        "unparsed": failed.total(),
        **{f"unparsed: {reason}": count for reason, count in failed.items()},
        "alike_or_alone": texts - failed.total() - kept,
        "profiles": kept,
        "candidates": settings.candidates,
        "seconds_an_author": round(sum(row["seconds"] for row in rows) / max(1, len(rows)), 4),
        "tokens_a_profile": round(sum(row["tokens"] for row in rows) / max(1, texts), 2),
    }


if __name__ == "__main__":
    run(main)
