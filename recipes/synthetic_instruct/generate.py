"""Magpie: a chat model writes instructions, from the beginning of a user's turn and nothing else, and answers them.

    python -m recipes.synthetic_instruct.generate SETTINGS.json --model MODEL --out OUT --work WORK

WORK/rows.jsonl holds every attempt, in order: {"index", "instruction", "response", ...} or {"index", "instruction",
"rejected": why}. OUT holds pairs.jsonl, the attempts that were not rejected, and metrics.json. Started again with the
same WORK it goes on at the attempt that comes next, with the same draws as if nobody had stopped it.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recipes.common.inference.types import Sampling
from recipes.common.stage.command import Interrupted, Progress, StageError, StopSignal, run
from recipes.common.stage.files import write_json
from recipes.common.stage.inputs import StageInputs, read_stage
from recipes.common.stage.journal import Journal, write_jsonl
from recipes.common.stage.settings import check_least, check_share
from recipes.synthetic_instruct.magpie import first_token_bans, prequery
from recipes.synthetic_instruct.speaker import Speaker, Speaking

SHORT = 10
"""Characters that are too few for an instruction or a response."""
IN_A_ROW = 100
"""Rejected attempts after which the generator is believed to be unable."""


@dataclass(frozen=True)
class Settings(Speaking):
    """The stage's JSON, key by key."""

    rows: int
    """Pairs to make."""
    instruction_temperature: float
    instruction_top_p: float
    response_temperature: float
    ban_first: list
    """An instruction begins with none of these, nor with them repeated: `#` keeps headlines away."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_least(self, 1, "rows")
        check_share(self, "(0, 1]", "instruction_top_p")
        if self.instruction_temperature <= 0:
            raise ValueError("`instruction_temperature` is not above 0: every instruction would be the same")
        check_least(self, 0, "response_temperature")
        if not all(isinstance(beginning, str) and beginning for beginning in self.ban_first):
            raise ValueError(f"`ban_first` is `{self.ban_first}`, not a list of texts")


Batch = Callable[[int], list[dict[str, Any]]]
"""The attempts of a batch, by its number; always the same ones."""


@dataclass(frozen=True, kw_only=True)
class Inputs(StageInputs):
    model: Path


def main(argv: list[str] | None = None) -> None:
    """Runs the stage."""
    stop = StopSignal()
    inputs, settings = read_stage(__doc__, Inputs, Settings, argv)
    journal, progress = Journal(inputs.work), Progress(inputs.work)
    speaker = Speaker(inputs.model, settings)
    before = prequery(speaker.tokenizer)
    if before.known is None:
        progress.warning(
            f"the pre-query prefix {before.text!r} is not one that Magpie's authors used: read some of the pairs"
        )
    print(f"pre-query prefix ({before.known or 'of no known family'}): {before.text!r}", flush=True)
    pairs = fill(journal, settings, magpie(speaker, settings), progress, stop)
    write_jsonl(inputs.out / "pairs.jsonl", pairs)
    numbers = summary(journal.rows, settings.rows) | speaker.numbers(settings.at_once)
    write_json(inputs.out / "metrics.json", numbers | {"prequery": before.text})


def magpie(speaker: Speaker, settings: Settings) -> Batch:
    """What makes batches: instructions after the pre-query prefix, then responses to those that can be used."""
    before = prequery(speaker.tokenizer)
    instruct = Sampling(
        settings.instruction_tokens,
        settings.instruction_temperature,
        settings.instruction_top_p,
        before.stop,
        first_token_bans(speaker.tokenizer, settings.ban_first),
    )
    respond = Sampling(settings.response_tokens, settings.response_temperature, settings.top_p, speaker.ends)

    def batch(number: int) -> list[dict[str, Any]]:
        seed = settings.seed + 2 * settings.at_once * number
        rows: list[dict[str, Any]] = []
        for text, ended in speaker.write([before.ids] * settings.at_once, instruct, seed):
            rows.append({"instruction": text, "instruction_ended": ended})
            if why := _unusable(text, speaker):
                rows[-1] |= {"rejected": why}
        good = [row for row in rows if "rejected" not in row]
        if good:
            prompts = [speaker.question(row["instruction"]) for row in good]
            for row, (text, ended) in zip(good, speaker.write(prompts, respond, seed + settings.at_once), strict=True):
                row |= {"response": text, "response_ended": ended}
                if len(text) <= SHORT:
                    row |= {"rejected": "response of 10 characters or fewer"}
        return [{"index": settings.at_once * number + index, **row} for index, row in enumerate(rows)]

    return batch


def fill(
    journal: Journal, settings: Settings, batch: Batch, progress: Progress, stop: Callable[[], bool]
) -> list[dict[str, Any]]:
    """The journal holds `rows` attempts that were not rejected, which are returned. Raises Interrupted after `stop`,
    and StageError if too many attempts in a row were rejected."""
    began, first = time.monotonic(), _kept(journal)
    saved = first // settings.save_every
    while (kept := _kept(journal)) < settings.rows:
        if stop():
            progress.checkpoint(journal.checkpoint(), kept)
            raise Interrupted(f"{kept:,} of {settings.rows:,} pairs are written")
        number, done = divmod(len(journal.rows), settings.at_once)
        # Of a batch that was cut off, the attempts that are there stay, and the same ones again are left out.
        journal.append(_up_to_missing(batch(number)[done:], settings.rows - kept))
        kept = _kept(journal)
        _check_able(journal.rows)
        each = (time.monotonic() - began) / max(1, kept - first)
        eta = round(each * (settings.rows - kept), 1)
        numbers = {"attempts": float(len(journal.rows)), "seconds_per_pair": round(each, 3), "eta_seconds": eta}
        progress.step(kept, settings.rows, numbers)
        if kept // settings.save_every > saved:
            saved = kept // settings.save_every
            progress.checkpoint(journal.checkpoint(), kept)
    return [row for row in journal.rows if "rejected" not in row]


def summary(attempts: list[dict[str, Any]], required: int) -> dict[str, Any]:
    """The stage's numbers."""
    kept = [row for row in attempts if "rejected" not in row]
    return {
        "rows": len(kept),
        "missing": required - len(kept),
        "attempts": len(attempts),
        "rejected": len(attempts) - len(kept),
        "different_instructions": len({row["instruction"] for row in kept}),
        "unfinished_responses": sum(not row["response_ended"] for row in kept),
    }


def _kept(journal: Journal) -> int:
    return sum("rejected" not in row for row in journal.rows)


def _up_to_missing(attempts: list[dict[str, Any]], missing: int) -> list[dict[str, Any]]:
    """The attempts up to the last pair that is missing."""
    kept = 0
    for index, row in enumerate(attempts):
        kept += "rejected" not in row
        if kept == missing:
            return attempts[: index + 1]
    return attempts


def _check_able(attempts: list[dict[str, Any]]) -> None:
    last = attempts[-IN_A_ROW:]
    if len(last) == IN_A_ROW and all("rejected" in row for row in last):
        raise StageError(
            f"the last {IN_A_ROW} attempts were rejected, the newest for: {last[-1]['rejected']}",
            "read `instruction` in rows.jsonl; the generator must be an Instruct model",
        )


def _unusable(instruction: str, speaker: Speaker) -> str | None:
    if len(instruction) <= SHORT:
        return "instruction of 10 characters or fewer"
    if any(token in instruction for token in speaker.special):
        return "instruction with a special token"
    if not speaker.fits(instruction):
        return "instruction too long to answer"
    return None


if __name__ == "__main__":
    run(main)
