"""What both trainings have in common: their rows, their chats, their end, and the numbers."""

from pathlib import Path
from statistics import fmean
from typing import Any, TypeVar

from recipes.common.checkpoint.difference import largest_change
from recipes.common.checkpoint.hf_tensors import open_stored
from recipes.common.model.loading import Peak
from recipes.common.preflight import memory_estimate
from recipes.common.stage.command import StageError, StopSignal
from recipes.common.stage.files import write_json
from recipes.common.stage.inputs import TrainingInputs, read_inputs
from recipes.common.stage.journal import read_jsonl
from recipes.common.stage.settings import read_settings
from recipes.common.trl.hyperparameters import Schedule, schedule
from recipes.common.trl.training import Trained, train
from recipes.synthetic_instruct.chat import Chat, one_bos, open_chat
from recipes.synthetic_instruct.settings import Training

PART = 5
"""A run's start and end are each a fifth of its steps."""


Settings = TypeVar("Settings", bound=Training)


def read_command(about: str, argv: list[str] | None, kind: type[Settings]) -> tuple[Settings, TrainingInputs]:
    """The settings and folders that a command line names; `out` and `work` exist."""
    inputs = read_inputs(about, TrainingInputs, argv)
    settings = read_settings(inputs.settings, kind)
    for folder in (inputs.out, inputs.work):
        folder.mkdir(parents=True, exist_ok=True)
    return settings, inputs


def read_split(data: Path) -> dict[str, list[dict[str, Any]]]:
    """The rows to train on and those to measure with. StageError where there are none."""
    found = {name: list(read_jsonl(data / f"{name}.jsonl")) for name in ("train", "eval")}
    for name, rows in found.items():
        if not rows:
            raise StageError(f"`{data / f'{name}.jsonl'}` has no rows", "an earlier stage left none: read its report")
    return found


def planned(settings: Training, rows: int) -> Schedule:
    """The training's steps for so many rows."""
    return schedule(rows, settings.batch, settings.accumulate, settings.epochs, settings.warmup, settings.save_every)


def check_chats(model: Path, settings: Training, texts: list[tuple[str, str]]) -> Chat:
    """The target's chat, once it is sure that no chat begins with two BOS."""
    chat = open_chat(model, settings.template)
    for asked, said in texts[:8]:
        turns = [{"role": "user", "content": asked}, {"role": "assistant", "content": said}]
        ids = chat.tokenizer.apply_chat_template(turns, return_dict=False)
        one_bos(ids, chat.tokenizer.bos_token_id, "the chat")
    return chat


def learn(trainer: Any, chat: Chat, inputs: TrainingInputs, stop: StopSignal, shown: tuple[str, ...]) -> dict[str, Any]:
    """The training's numbers. `out` then holds the adapter, or the model where all of it was trained, the target's
    tokenizer and history.json."""
    trained = train(trainer, inputs.work, stop)
    measured = trainer.evaluate()
    if adapted := hasattr(trainer.model, "peft_config"):
        trainer.model.save_pretrained(inputs.out / "adapter")
    else:
        trainer.model.save_pretrained(inputs.out / "model")
    chat.tokenizer.save_pretrained(inputs.out)
    write_json(inputs.out / "history.json", trained.history)
    rows = {"rows": len(trainer.train_dataset), "eval_rows": len(trainer.eval_dataset)}
    change = adapter_change(inputs.out) if adapted else largest_change(inputs.model, inputs.out / "model")
    return summary(trained, measured, shown) | rows | {"adapter_change" if adapted else "model_change": change}


def summary(trained: Trained, measured: dict[str, float], shown: tuple[str, ...]) -> dict[str, Any]:
    """A finished training's numbers: means over the first and the last fifth of its steps, and the measurement."""
    history = trained.history
    part = max(1, len(history) // PART)
    numbers: dict[str, Any] = {
        "steps": trained.steps,
        "steps_left": trained.steps - len(history),
        "steps_after_warmup": trained.steps - trained.warmup,
        "trained_parameters": trained.parameters,
    }
    for name in shown:
        values = [entry[name] for entry in history if name in entry]
        if values:
            key = name.replace("/", "_")
            numbers |= {f"{key}_first": fmean(values[:part]), f"{key}_last": fmean(values[-part:])}
    for name in shown:
        if f"eval_{name}" in measured:
            numbers[f"eval_{name.replace('/', '_')}"] = measured[f"eval_{name}"]
    return numbers


def adapter_change(out: Path) -> float:
    """The largest weight of the adapter's B, which all were 0 before the first step."""
    import torch

    tensors = open_stored(out / "adapter")
    largest = 0.0
    for name, tensor in tensors.items():
        if "lora_B" in name or "prompt" in name:
            values = torch.empty(tensor.numel)
            tensor.read(0, values)
            largest = max(largest, float(values.abs().max()))
    return largest


def finish(numbers: dict[str, Any], tokens: int, inputs: TrainingInputs, settings: Training, peak: Peak) -> None:
    """`out` is complete; metrics.json comes last, with memory measured, and predicted for so many tokens at a time."""
    shape = memory_estimate.shape_of(inputs.model)
    if "model_change" in numbers:
        parts = memory_estimate.whole(shape, settings.dtype, settings.optimizer, tokens, settings.recompute)
    else:
        trained = numbers["trained_parameters"]
        parts = memory_estimate.training(shape, settings.dtype, settings.nf4, trained, tokens, settings.recompute)
    numbers |= memory_estimate.numbers(parts, peak.bytes())
    write_json(inputs.out / "metrics.json", numbers)
    print("  ".join(f"{name} {value:.4g}" for name, value in numbers.items() if isinstance(value, (int, float))))
