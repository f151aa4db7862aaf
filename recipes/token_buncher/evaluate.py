"""Measures an exported model, and the one it was made from, on questions that neither was trained on.

    python -m recipes.token_buncher.evaluate SETTINGS.json --model EXPORT --before MODEL --beavertails DATA \\
        --wmdp DATA --gsm8k DATA --out OUT --work WORK

WMDP: the letter in the box; GSM8K: the last number, both of greedy answers; entropy: of sampled answers to BeaverTails'
test questions, and, where a classifier is given, the share of them it finds harmful. OUT holds evaluation.json,
evaluation.md and metrics.json; WORK keeps each finished task, so that a second start goes on.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recipes.common.model.loading import take_device
from recipes.common.stage import files
from recipes.common.stage.command import Progress, run
from recipes.common.stage.inputs import StageInputs, read_stage
from recipes.common.stage.settings import check_choice, check_least
from recipes.token_buncher import harm, scoring
from recipes.token_buncher.datasets.parquet import Prompt, read_prompts
from recipes.token_buncher.scoring import TASKS


@dataclass(frozen=True)
class Settings:
    """What the plan says about the evaluation."""

    device: str
    """cuda: one GPU; or cpu."""
    questions: int | None
    """Of each task at most so many, evenly spaced over its test rows; null: all."""
    answer_tokens: int
    answers_at_once: int
    seed: int
    classifier: str | None
    """What finds answers harmful (harm.py); null: nothing does."""

    def __post_init__(self) -> None:
        check_least(self, 1, "questions", "answer_tokens", "answers_at_once")
        check_choice(self, "device", ("cuda", "cpu"))
        harm.check_name(self.classifier)


@dataclass(frozen=True, kw_only=True)
class Inputs(StageInputs):
    model: Path
    before: Path
    beavertails: Path
    wmdp: Path
    gsm8k: Path


def main(argv: list[str] | None = None) -> None:
    """Runs the stage."""
    inputs, settings = read_stage(__doc__, Inputs, Settings, argv)
    data = {"wmdp": inputs.wmdp, "gsm8k": inputs.gsm8k, "entropy": inputs.beavertails}
    prompts = {task: some(read_prompts(folder / "test.parquet"), settings.questions) for task, folder in data.items()}
    progress = Progress(inputs.work)
    total, done = 2 * sum(map(len, prompts.values())), 0
    results: dict[str, dict[str, Any]] = {}
    for when, model in {"before": inputs.before, "after": inputs.model}.items():
        results[when] = {}
        speaker = None
        for task in TASKS:
            path = inputs.work / f"{when}-{task}.json"
            result = files.read_json(path)
            if result is None:
                speaker = speaker or _speaker(model, settings.device)
                questions, answers = [prompt.question for prompt in prompts[task]], []
                seed = settings.seed if task == "entropy" else None
                for more in speaker.answer(questions, settings.answer_tokens, settings.answers_at_once, seed):
                    answers += more
                    progress.step(done + len(answers), total)
                scores = None
                if task == "entropy" and settings.classifier:
                    judge = harm.load(settings.classifier, inputs.work / "hub", settings.device)
                    scores = judge.scores([answer.text for answer in answers])
                result = scoring.of(task, prompts[task], answers, scores)
                files.write_json(path, result)
            done += len(prompts[task])
            results[when] |= result
    print(scoring.table(results))
    files.write_json(inputs.out / "evaluation.json", results)
    files.write_text(inputs.out / "evaluation.md", scoring.table(results) + "\n")
    files.write_json(inputs.out / "metrics.json", scoring.flat(results))


def some(prompts: list[Prompt], count: int | None) -> list[Prompt]:
    """`count` prompts, evenly spaced, so that each part of a mixture has its share; None: all."""
    if count is None or count >= len(prompts):
        return prompts
    return [prompts[index * len(prompts) // count] for index in range(count)]


def _speaker(model: Path, device: str) -> Any:
    from recipes.token_buncher.speaker import Speaker

    take_device(device)
    return Speaker(model, device)


if __name__ == "__main__":
    run(main)
