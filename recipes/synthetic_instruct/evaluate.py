"""Measures the base, the fine-tuned and the preference-tuned model with lm-evaluation-harness.

    python -m recipes.synthetic_instruct.evaluate SETTINGS.json --base MODEL --sft MODEL --dpo MODEL \\
        --out OUT --work WORK

OUT holds evaluation.json (every number of the harness), evaluation.md (the table, with standard errors) and
metrics.json. WORK keeps each finished task of each model: a second start continues.
"""

import gc
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recipes.common.model.loading import DEVICES, DTYPES, Peak, take_device
from recipes.common.preflight import memory_estimate
from recipes.common.stage.command import Interrupted, Mistake, Progress, StopSignal, run
from recipes.common.stage.files import read_json, write_json, write_text
from recipes.common.stage.inputs import StageInputs, read_stage
from recipes.common.stage.settings import check_choice, check_least

MODELS = ("base", "sft", "dpo")
BOOTSTRAPS = 1000
"""Draws for the standard error of what is no mean; means have a formula."""


HELD = ("alias", "name", "sample_len", "sample_count", "samples")
"""Keys of the harness that are not measurements."""


@dataclass(frozen=True)
class Settings:
    """The stage's JSON, key by key."""

    device: str
    dtype: str
    tasks: list
    """The harness's names: ifeval, mmlu, ...; or those of files in `task_folder`."""
    task_folder: str | None
    """Where tasks are looked for, and nowhere else; null: the harness's own."""
    few_shot: int | None
    """Examples before each question; null: as many as the task says."""
    limit: int | None
    """At most so many questions a task; null: all."""
    eval_at_once: int
    eval_max_length: int
    """Tokens; the harness cuts longer texts at their beginning."""
    seed: int

    def __post_init__(self) -> None:
        check_choice(self, "device", DEVICES)
        check_choice(self, "dtype", DTYPES)
        if not self.tasks or not all(isinstance(task, str) and task for task in self.tasks):
            raise ValueError(f"`tasks` is `{self.tasks}`, not a list of names")
        if len(set(self.tasks)) < len(self.tasks):
            raise ValueError(f"`tasks` is `{self.tasks}`: a task is named twice")
        check_least(self, 1, "limit", "eval_at_once", "eval_max_length")
        check_least(self, 0, "few_shot")


@dataclass(frozen=True, kw_only=True)
class Inputs(StageInputs):
    base: Path
    sft: Path
    dpo: Path


def main(argv: list[str] | None = None) -> None:
    """Runs the stage."""
    stop = StopSignal()
    inputs, settings = read_stage(__doc__, Inputs, Settings, argv)
    os.environ.setdefault("HF_DATASETS_CACHE", str(inputs.work / "datasets"))
    harness = Harness(settings)
    harness.check_tasks()
    peak = Peak(settings.device)
    progress, done = Progress(inputs.work), 0
    results: dict[str, dict[str, Any]] = {name: {} for name in MODELS}
    for name in MODELS:
        for task in settings.tasks:
            path = inputs.work / f"{name}-{task}.json"
            if (numbers := read_json(path)) is None:
                if stop():
                    raise Interrupted(f"{done} of {len(MODELS) * len(settings.tasks)} tasks are kept")
                numbers = harness.measure(getattr(inputs, name), task, chats=name != "base")
                stop.listen()
                write_json(path, numbers)
            results[name] |= numbers
            done += 1
            progress.step(done, len(MODELS) * len(settings.tasks), main_numbers(numbers, name))
    text = table(results)
    print(text)
    write_json(inputs.out / "evaluation.json", results)
    write_text(inputs.out / "evaluation.md", text + "\n")
    shape = memory_estimate.shape_of(inputs.dpo)
    parts = memory_estimate.generating(shape, settings.dtype, False, settings.eval_at_once, settings.eval_max_length)
    write_json(inputs.out / "metrics.json", flat(results) | memory_estimate.numbers(parts, peak.bytes()))


class Harness:
    """lm-evaluation-harness with one model in memory at a time."""

    def __init__(self, settings: Settings):
        from lm_eval.models.huggingface import HFLM
        from lm_eval.tasks import TaskManager

        self.open = HFLM
        self.settings = settings
        folder = settings.task_folder
        self.manager = TaskManager(include_path=folder, include_defaults=folder is None)
        self.loaded: tuple[Path, Any] | None = None

    def check_tasks(self) -> None:
        """Raises Mistake if a task does not exist."""
        for task in self.settings.tasks:
            if task not in self.manager.all_tasks:
                where = self.settings.task_folder or "lm-evaluation-harness"
                raise Mistake(f"`tasks`: `{where}` has no `{task}`", "`lm_eval ls tasks` lists the harness's own")

    def measure(self, model: Path, task: str, chats: bool) -> dict[str, Any]:
        """Task -> its numbers with their standard errors; of a group also those of its parts.

        With `chats`, questions go through the model's chat template; a base, which knows no chat, gets them as they
        are.
        """
        import lm_eval

        settings = self.settings
        output = lm_eval.simple_evaluate(
            model=self._open(model),
            tasks=[task],
            task_manager=self.manager,
            num_fewshot=settings.few_shot,
            limit=settings.limit,
            apply_chat_template=chats,
            fewshot_as_multiturn=chats,
            bootstrap_iters=BOOTSTRAPS,
            random_seed=settings.seed,
            numpy_random_seed=settings.seed,
            torch_random_seed=settings.seed,
            fewshot_random_seed=settings.seed,
            log_samples=False,
        )
        samples = output.get("n-samples", {})
        return {
            name: numbers_of(numbers) | {"samples": samples.get(name, {}).get("effective")}
            for name, numbers in (output["results"] | output.get("groups", {})).items()
        }

    def _open(self, model: Path) -> Any:
        if self.loaded and self.loaded[0] == model:
            return self.loaded[1]
        take_device(self.settings.device)
        self.loaded = None
        gc.collect()
        if self.settings.device == "cuda":
            import torch

            torch.cuda.empty_cache()
        opened = self.open(
            pretrained=str(model),
            device=self.settings.device,
            dtype=self.settings.dtype,
            batch_size=self.settings.eval_at_once,
            max_length=self.settings.eval_max_length,
        )
        self.loaded = (model, opened)
        return opened


def numbers_of(numbers: dict[str, Any]) -> dict[str, Any]:
    """Of one task: metric -> {"value", "stderr"}; the harness's own filter `none` is left out of the name."""
    measurements: dict[str, Any] = {}
    for key, value in numbers.items():
        metric, _, kind = key.partition(",")
        if metric in HELD or metric.endswith("_stderr") or not isinstance(value, (int, float)):
            continue
        error = numbers.get(f"{metric}_stderr,{kind}")
        name = metric if kind in ("", "none") else f"{metric} ({kind})"
        measurements[name] = {"value": value, "stderr": error if isinstance(error, (int, float)) else None}
    return measurements


def table(results: dict[str, dict[str, Any]]) -> str:
    """Model -> task -> numbers, as a Markdown table: a line a metric, a column a model."""
    lines = ["| task | metric | questions | " + " | ".join(results) + " |", "|---|---|---:|" + "---:|" * len(results)]
    first = next(iter(results.values()))
    for task, numbers in first.items():
        for metric in (name for name in numbers if name != "samples"):
            cells = [_shown(tasks.get(task, {}).get(metric)) for tasks in results.values()]
            lines.append(f"| {task} | {metric} | {numbers.get('samples') or ''} | {' | '.join(cells)} |")
    return "\n".join(lines)


def flat(results: dict[str, dict[str, Any]]) -> dict[str, float]:
    """Every number under `<model>_<task>_<metric>`, and its error under the same with `_stderr`."""
    numbers: dict[str, float] = {}
    for model, tasks in results.items():
        for task, metrics in tasks.items():
            for metric, measurement in metrics.items():
                if metric == "samples":
                    continue
                numbers[f"{model}_{task}_{metric}"] = measurement["value"]
                if measurement["stderr"] is not None:
                    numbers[f"{model}_{task}_{metric}_stderr"] = measurement["stderr"]
    return numbers


def main_numbers(tasks: dict[str, Any], model: str) -> dict[str, float]:
    """The first metric of each task, for the screen."""
    return {
        f"{model}/{task}": next(measurement["value"] for name, measurement in metrics.items() if name != "samples")
        for task, metrics in tasks.items()
        if len(metrics) > 1
    }


def _shown(measurement: dict[str, Any] | None) -> str:
    if measurement is None:
        return ""
    return f"{measurement['value']:.4f}" + ("" if measurement["stderr"] is None else f" ± {measurement['stderr']:.4f}")


if __name__ == "__main__":
    run(main)
