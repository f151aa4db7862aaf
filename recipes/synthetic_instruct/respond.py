"""Answers each instruction several times, at several temperatures: what preferences are made of.

    python -m recipes.synthetic_instruct.respond SETTINGS.json --model MODEL --data FILTERED --out OUT --work WORK

OUT holds responses.jsonl, {"index", "instruction", "responses": [{"temperature", "text", "ended"}]} for each
instruction, and metrics.json. Started again with the same WORK it goes on with the next instructions.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from recipes.common.inference.types import Sampling
from recipes.common.stage.command import Progress, StageError, StopSignal, run
from recipes.common.stage.files import read_json, write_json
from recipes.common.stage.inputs import TrainingInputs, read_stage
from recipes.common.stage.journal import Batches, Journal, read_jsonl, write_jsonl
from recipes.common.stage.settings import check_least
from recipes.synthetic_instruct.speaker import Speaker, Speaking


@dataclass(frozen=True)
class Settings(Speaking):
    """The stage's JSON, key by key."""

    instructions: int
    """At most so many, the best by reward."""
    temperatures: list
    """One response each."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_least(self, 1, "instructions")
        good = all(
            isinstance(temperature, (int, float)) and not isinstance(temperature, bool)
            for temperature in self.temperatures
        )
        if not good or not self.temperatures or min(self.temperatures) < 0:
            raise ValueError(f"`temperatures` is `{self.temperatures}`, not a list of numbers from 0 on")


def main(argv: list[str] | None = None) -> None:
    """Runs the stage."""
    stop = StopSignal()
    inputs, settings = read_stage(__doc__, TrainingInputs, Settings, argv)
    rows = sorted(read_jsonl(inputs.data / "train.jsonl"), key=lambda row: (-row["reward"], row["index"]))
    rows = rows[: settings.instructions]
    if not rows:
        raise StageError(
            f"`{inputs.data / 'train.jsonl'}` has no rows to answer", "loosen the filter, or generate more"
        )
    speaker = Speaker(inputs.model, settings)
    journal = Journal(inputs.work)
    answer_all(rows, journal, settings, speaker, Progress(inputs.work), stop)
    write_jsonl(inputs.out / "responses.jsonl", journal.rows)
    of = (read_json(inputs.model / "metrics.json") or {}).get("repo", str(inputs.model))
    counts = {"rows": len(journal.rows), "missing": len(rows) - len(journal.rows)}
    numbers = {"responses": len(journal.rows) * len(settings.temperatures), "responder": of}
    write_json(inputs.out / "metrics.json", counts | numbers | speaker.numbers(settings.at_once))


def answer_all(
    rows: list[dict[str, Any]],
    journal: Journal,
    settings: Settings,
    speaker: Speaker,
    progress: Progress,
    stop: Callable[[], bool],
) -> None:
    """The journal holds every row with its responses, in order. Raises Interrupted after `stop`."""
    batches = Batches(settings.at_once, settings.save_every, "row", "{:,} of {:,} instructions are answered")
    batches.extend(journal, rows, lambda part, start: answers(part, start, settings, speaker), progress, stop)


def answers(rows: list[dict[str, Any]], start: int, settings: Settings, speaker: Speaker) -> list[dict[str, Any]]:
    """Each row with a response at each temperature; draws differ by `start`, the first row's place among all."""
    prompts = [speaker.question(row["instruction"]) for row in rows]
    answered = [{"index": row["index"], "instruction": row["instruction"], "responses": []} for row in rows]
    for index, temperature in enumerate(settings.temperatures):
        sampling = Sampling(settings.response_tokens, float(temperature), settings.top_p, speaker.ends)
        seed = settings.seed + start * len(settings.temperatures) + index * settings.at_once
        for row, (text, ended) in zip(answered, speaker.write(prompts, sampling, seed), strict=True):
            row["responses"].append({"temperature": temperature, "text": text, "ended": ended})
    return answered


if __name__ == "__main__":
    run(main)
