"""Writes one profile of each author who was held out, with little chance in it: what models are compared by.

    python -m recipes.profile_dpo.write SETTINGS.json --model MODEL --data SETUP --out OUT --work WORK

OUT holds profiles.jsonl, {"unit", "abstracts", "profile"}, where `profile` is null for a text that is none; and
metrics.json. Started again with the same WORK it goes on with the next authors.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from recipes.common.inference.types import Sampling
from recipes.common.stage.command import Progress, StopSignal, run
from recipes.common.stage.files import read_json, write_json
from recipes.common.stage.inputs import TrainingInputs, read_stage
from recipes.common.stage.journal import Batches, Journal, read_jsonl, write_jsonl
from recipes.common.stage.settings import check_least, check_share
from recipes.profile_dpo import profile
from recipes.profile_dpo.writer import Speaker, Writing, ask, open_writer


@dataclass(frozen=True)
class Settings(Writing):
    """The stage's JSON, key by key."""

    answer_temperature: float
    answer_top_p: float

    def __post_init__(self) -> None:
        super().__post_init__()
        check_least(self, 0, "answer_temperature")
        check_share(self, "(0, 1]", "answer_top_p")


def main(argv: list[str] | None = None) -> None:
    """Runs the stage."""
    stop = StopSignal()
    inputs, settings = read_stage(__doc__, TrainingInputs, Settings, argv)
    units, journal = list(read_jsonl(inputs.data / "held_out.jsonl")), Journal(inputs.work)
    writer = open_writer(inputs.model, settings)
    write_all(units, journal, settings, writer, Progress(inputs.work), stop)
    results = [profile.parse(profile.START + row["text"]) for row in journal.rows]
    failed = Counter(parsed for parsed in results if isinstance(parsed, str))
    texts = [None if isinstance(parsed, str) else parsed.text() for parsed in results]
    rows = zip(units, texts, strict=True)
    write_jsonl(
        inputs.out / "profiles.jsonl",
        ({"unit": unit["unit"], "abstracts": unit["abstracts"], "profile": text} for unit, text in rows),
    )
    reasons = {f"unparsed: {reason}": count for reason, count in failed.items()}
    by = (read_json(inputs.model / "metrics.json") or {}).get("repo", str(inputs.model))
    numbers = {"profiles": len(units), "unparsed": failed.total(), **reasons, "writer": by}
    write_json(inputs.out / "metrics.json", numbers | writer.numbers(settings.at_once))
    print(f"{len(units) - failed.total():,} of {len(units):,} texts are profiles")


def write_all(
    units: list[dict[str, Any]],
    journal: Journal,
    settings: Settings,
    writer: Speaker,
    progress: Progress,
    stop: Callable[[], bool],
) -> None:
    """The journal holds each author's text, in order. Raises Interrupted after `stop`."""
    sampling = Sampling(settings.profile_tokens, settings.answer_temperature, settings.answer_top_p, writer.stop)

    def make(part: list[dict[str, Any]], start: int) -> list[dict[str, Any]]:
        prompts = {unit["unit"]: ask(writer, unit["prompt"]) for unit in part}
        fits = {unit: ids for unit, ids in prompts.items() if len(ids) <= settings.prompt_tokens}
        texts = writer.write(list(fits.values()), sampling, settings.seed + start) if fits else []
        text_of = {unit: text for unit, (text, _) in zip(fits, texts, strict=True)}
        # an author whose prompt is too long has no text, whichever model is asked
        return [{"unit": unit["unit"], "text": text_of.get(unit["unit"], "")} for unit in part]

    batches = Batches(settings.at_once, settings.keep_every, "author", "{:,} of {:,} profiles are written")
    batches.extend(journal, units, make, progress, stop)


if __name__ == "__main__":
    run(main)
