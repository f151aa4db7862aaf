"""Lets a judge compare each author's profiles in a tournament, and writes down every preference that this implies.

    python -m recipes.profile_dpo.tournament SETTINGS.json --candidates GENERATED --judge MODEL --out OUT --work WORK

All tournaments go on together: a round of all of them is one batch of questions, each match in both orders. OUT holds
train.jsonl and eval.jsonl, {"unit", "prompt", "chosen", "rejected", "decided"}, of different authors; matches.jsonl;
report.md; and metrics.json. WORK/rows.jsonl has every reply of the judge: a second start asks only what is missing.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recipes.common.stage.command import StageError, StopSignal, run
from recipes.common.stage.files import write_json, write_text
from recipes.common.stage.inputs import StageInputs, read_stage
from recipes.common.stage.journal import read_jsonl, write_jsonl
from recipes.common.stage.settings import check_share
from recipes.profile_dpo import bracket, prompts
from recipes.profile_dpo.bracket import Result
from recipes.profile_dpo.judge.ask import Asking, open_asking, open_judge
from recipes.profile_dpo.judge.types import Judge, JudgeSettings, Question
from recipes.profile_dpo.judge.verdict import Bias, Shown, orders, result


@dataclass(frozen=True)
class Settings(JudgeSettings):
    """The stage's JSON, key by key."""

    drop_undecided: bool
    """Whether preferences that hang on a coin are left out."""
    eval_share: float
    """Of authors, whose preferences measure the training."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_share(self, "(0, 1)", "eval_share")


Open = Callable[[int], Judge]
"""The judge for a round, by its number from 0 on."""


@dataclass(frozen=True, kw_only=True)
class Inputs(StageInputs):
    candidates: Path
    judge: Path


def main(argv: list[str] | None = None) -> None:
    """Runs the stage."""
    stop = StopSignal()
    inputs, settings = read_stage(__doc__, Inputs, Settings, argv)
    units = list(read_jsonl(inputs.candidates / "candidates.jsonl"))
    total = settings.orders * sum(len(unit["profiles"]) - 1 for unit in units)
    judges: dict[bool, Judge] = {}

    def judge(number: int) -> Judge:
        batched = number < settings.batched_rounds
        if batched not in judges:
            judges[batched] = open_judge(settings, inputs.judge, batched, inputs.work)
        return judges[batched]

    bias = Bias()
    with open_asking(settings, inputs.work, total, stop) as asking:
        results = play(units, asking, judge, settings, bias)
    train, held, left_out = split(units, results, settings)
    write_jsonl(inputs.out / "train.jsonl", train)
    write_jsonl(inputs.out / "eval.jsonl", held)
    played = (
        {"unit": unit["unit"], "match": number, **match._asdict()}
        for unit, matches in zip(units, results, strict=True)
        for number, match in enumerate(matches)
    )
    write_jsonl(inputs.out / "matches.jsonl", played)
    counts = {"tournaments": len(units), "comparisons": sum(map(len, results)), "preferences": len(train) + len(held)}
    rows = {"train_rows": len(train), "eval_rows": len(held), "left_out_undecided": left_out}
    numbers = counts | rows | bias.numbers() | asking.answers.numbers(settings)
    write_text(inputs.out / "report.md", report(numbers))
    print(report(numbers))
    memory = next((judge.numbers() for judge in judges.values()), {})
    write_json(inputs.out / "metrics.json", numbers | memory)
    if not train or not held:
        raise StageError(
            f"{counts['preferences']:,} preferences of {len(units):,} authors are too few to train and to evaluate",
            "give papers of more authors, or set `drop_undecided` to false",
        )


def play(
    units: list[dict[str, Any]], asking: Asking, judge: Open, settings: Settings, bias: Bias
) -> list[list[Result]]:
    """The results of each author's tournament, round after round; the judge's ways are counted in `bias`."""
    standing = [bracket.draw(len(unit["profiles"]), f"{settings.seed}:{unit['unit']}") for unit in units]
    results: list[list[Result]] = [[] for _ in units]
    number = 0
    while any(len(players) > 1 for players in standing):
        asked = [
            [orders(unit["unit"], *met, settings.orders, settings.seed) for met in bracket.pairs(players)]
            for unit, players in zip(units, standing, strict=True)
        ]
        questions = [
            question(unit, shown)
            for unit, matches in zip(units, asked, strict=True)
            for match in matches
            for shown in match
        ]
        answers = asking.settle(questions, judge(number))
        for index, matches in enumerate(asked):
            match_results = [result(match, answers, settings.seed, bias) for match in matches]
            results[index] += match_results
            standing[index] = bracket.advance(standing[index], [match_result.winner for match_result in match_results])
        number += 1
        print(f"round {number}: {sum(map(len, asked)):,} matches", flush=True)
    return results


def question(unit: dict[str, Any], shown: Shown) -> Question:
    """What the judge is asked about two of the author's profiles."""
    both = (unit["profiles"][shown.first], unit["profiles"][shown.second])
    abstracts = tuple(unit["abstracts"])
    return Question(shown.key, prompts.judge(abstracts, *both), abstracts, both)


def split(
    units: list[dict[str, Any]], results: list[list[Result]], settings: Settings
) -> tuple[list[dict[str, Any]], list[dict[str, Any]], int]:
    """The preferences to learn from, those of other authors to measure with, and how many were left out."""
    order = list(range(len(units)))
    random.Random(settings.seed).shuffle(order)
    held = set(order[: max(1, round(settings.eval_share * len(units)))])
    parts: tuple[list[dict[str, Any]], list[dict[str, Any]]] = ([], [])
    left_out = 0
    for index, (unit, matches) in enumerate(zip(units, results, strict=True)):
        for better, worse, decided in bracket.preferences(matches):
            if settings.drop_undecided and not decided:
                left_out += 1
                continue
            chosen = {"chosen": unit["profiles"][better], "rejected": unit["profiles"][worse], "decided": decided}
            parts[index in held].append({"unit": unit["unit"], "prompt": unit["prompt"], **chosen})
    return *parts, left_out


def report(numbers: dict[str, Any]) -> str:
    """What happened, in Markdown."""
    lines = [
        ("tournaments", f"{numbers['tournaments']:,}"),
        ("comparisons", f"{numbers['comparisons']:,}"),
        ("preferences", f"{numbers['preferences']:,}"),
        ("the judge preferred the first of two", f"{numbers['first_share']:.1%} of {numbers['answers']:,} answers"),
        ("it contradicted itself when they changed places", f"{numbers['disagreement']:.1%} of {numbers['both']:,}"),
        ("a coin decided", f"{numbers['coins']:,} comparisons"),
        ("questions without an answer", f"{numbers['unanswered']:,}"),
        ("replies that were none", f"{numbers['garbage']:,} of {numbers['replies']:,}"),
        ("tokens in, out", f"{numbers['tokens_in']:,}, {numbers['tokens_out']:,}"),
    ]
    if "dollars" in numbers:
        lines.append(("dollars", f"{numbers['dollars']:.2f}"))
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in lines)]) + "\n"


if __name__ == "__main__":
    run(main)
