"""The training itself, in each of its processes."""

import os
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from datasets import Dataset
from trl import DPOConfig, DPOTrainer

from recipes.common.checkpoint.hf_tensors import open_stored
from recipes.common.data.tokens import Tokens
from recipes.common.model.loading import Peak, load_model
from recipes.common.preflight import memory_estimate
from recipes.common.stage.command import Mistake, StageError, StopSignal
from recipes.common.stage.files import write_json
from recipes.common.stage.inputs import TrainingInputs
from recipes.common.stage.journal import read_jsonl
from recipes.common.trl.hyperparameters import schedule
from recipes.common.trl.training import Trained, arguments, lora, train
from recipes.profile_dpo.settings import DpoSettings

SHOWN = ("loss", "rewards/accuracies", "rewards/margins", "rewards/chosen", "rewards/rejected")
PART = 5
"""A training's start and end are each a fifth of its steps."""
ZERO2 = Path(__file__).with_name("parallel") / "zero2.json"


def learn(settings: DpoSettings, inputs: TrainingInputs, stop: StopSignal) -> None:
    """`out` holds the trained adapter and its numbers; the first process writes."""
    world = int(os.environ.get("WORLD_SIZE", 1))
    if settings.device == "cuda":
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", 0)))
    given = {name: list(read_jsonl(inputs.data / f"{name}.jsonl")) for name in ("train", "eval")}
    check(given, inputs.data)
    rows, length = fitting(given, Tokens(inputs.model), settings.length_share, settings.max_length)
    own = replace(settings, max_length=length, accumulate=shared_out(settings.accumulate, world))
    inputs.work.mkdir(parents=True, exist_ok=True)
    inputs.out.mkdir(parents=True, exist_ok=True)
    peak = Peak(settings.device)
    trainer = make_trainer(own, inputs, rows, world)
    trained = train(trainer, inputs.work, stop)
    measured = trainer.evaluate()
    if not trainer.is_world_process_zero():
        return
    trainer.model.save_pretrained(inputs.out / "adapter")
    trainer.processing_class.save_pretrained(inputs.out)
    numbers = summary(trained, measured) | {"adapter_change": adapter_change(inputs.out / "adapter")}
    counts = {"rows": len(rows["train"]), "eval_rows": len(rows["eval"]), "max_length": length, "ranks": world}
    counts["too_long"] = len(given["train"]) + len(given["eval"]) - len(rows["train"]) - len(rows["eval"])
    # each row is two sequences: chosen and rejected
    parts = memory_estimate.training(
        memory_estimate.shape_of(inputs.model),
        own.dtype,
        own.nf4,
        trained.parameters,
        2 * own.batch * length,
        own.recompute,
    )
    write_json(inputs.out / "history.json", trained.history)
    write_json(inputs.out / "metrics.json", numbers | counts | memory_estimate.numbers(parts, peak.bytes()))
    print("  ".join(f"{name} {value:.4g}" for name, value in numbers.items()), flush=True)


def check(rows: dict[str, list[dict[str, Any]]], data: Path) -> None:
    """Raises StageError where there are no rows, or where nothing can be learnt from one."""
    for name, part in rows.items():
        if not part:
            raise StageError(f"`{data / f'{name}.jsonl'}` has no rows", "give papers of more authors")
        for number, row in enumerate(part, 1):
            if row["chosen"] == row["rejected"]:
                raise StageError(
                    f"`{data / f'{name}.jsonl'}`: line {number}: `chosen` and `rejected` are the same",
                    "leave the row out: nothing can be learnt from it",
                )


def shared_out(accumulate: int, world: int) -> int:
    """Batches of a step that each process takes."""
    if accumulate % world:
        fewer = max(one for one in range(1, world) if accumulate % one == 0)
        raise Mistake(
            f"{world} GPUs cannot share the {accumulate} batches of a step",
            f"`--set dpo.accumulate={world}`, or `--set dpo.ranks={fewer}`",
        )
    return accumulate // world


def make_trainer(own: DpoSettings, inputs: TrainingInputs, rows: dict[str, list[dict[str, Any]]], world: int) -> Any:
    """TRL's trainer of an adapter on all linear layers, however the model calls them."""
    plan = schedule(len(rows["train"]), own.batch, own.accumulate * world, own.epochs, own.warmup, own.save_every)
    given = arguments(own, plan, inputs.work)
    if world > 1 and own.parallel == "zero2":
        given["deepspeed"] = str(ZERO2)
    elif world > 1:
        given |= {"ddp_backend": "gloo" if own.device == "cpu" else "nccl", "ddp_find_unused_parameters": False}
    tokenizer = Tokens(inputs.model).tokenizer
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    adapter = lora(own)
    adapter.target_modules = "all-linear"
    made = {name: Dataset.from_list([preference(row) for row in part]) for name, part in rows.items()}
    config = DPOConfig(**given, beta=own.beta)
    if world > 1 and own.device == "cpu":
        # accelerate calls it cpu:0, onto which torch loads no checkpoint
        vars(config)["_setup_devices"] = torch.device("cpu")
    return DPOTrainer(
        model=load_model(inputs.model, own.device, own.dtype, own.nf4),
        args=config,
        train_dataset=made["train"],
        eval_dataset=made["eval"],
        processing_class=tokenizer,
        peft_config=adapter,
    )


def preference(row: dict[str, Any]) -> dict[str, Any]:
    """As TRL reads it."""
    sides = {side: [{"role": "assistant", "content": row[side]}] for side in ("chosen", "rejected")}
    return {"prompt": row["prompt"], **sides}


def summary(trained: Trained, measured: dict[str, float]) -> dict[str, float]:
    """Means over the first and the last fifth of the steps, what was measured at the end, and seconds a pair."""
    part = max(1, len(trained.history) // PART)
    numbers: dict[str, float] = {
        "steps": trained.steps,
        "steps_left": trained.steps - len(trained.history),
        "steps_after_warmup": trained.steps - trained.warmup,
        "trained_parameters": trained.parameters,
        "seconds_a_step": round(trained.seconds, 4),
    }
    for name in SHOWN:
        key, values = name.replace("/", "_"), [entry[name] for entry in trained.history if name in entry]
        if values:
            numbers |= {f"{key}_first": fmean(values[:part]), f"{key}_last": fmean(values[-part:])}
        if f"eval_{name}" in measured:
            numbers[f"eval_{key}"] = measured[f"eval_{name}"]
    return numbers


def adapter_change(adapter: Path) -> float:
    """The largest weight of the adapter's B, which all were 0 before the first step."""
    largest = 0.0
    for name, tensor in open_stored(adapter).items():
        if "lora_B" in name:
            values = torch.empty(tensor.numel)
            tensor.read(0, values)
            largest = max(largest, float(values.abs().max()))
    return largest


Rows = dict[str, list[dict[str, Any]]]


def fitting(rows: Rows, tokens: Tokens, share: float, most: int) -> tuple[Rows, int]:
    """The rows whose two answers are no longer than the length that `share` of the training rows have, which is even
    and no more than `most`; and that length."""
    found = {name: lengths(part, tokens) for name, part in rows.items()}
    length = min(percentile(found["train"], share), most)
    length += length % 2
    kept = {
        name: [row for row, long in zip(part, found[name], strict=True) if long <= length]
        for name, part in rows.items()
    }
    for name, part in kept.items():
        if not part:
            raise StageError(
                f"no row of {name}.jsonl has {length:,} tokens or fewer", "a higher `max_length`, or a lower `papers`"
            )
    return kept, length


def lengths(rows: list[dict[str, Any]], tokens: Tokens) -> list[int]:
    """Tokens of each row's prompt with the longer of its two answers."""
    chats = [
        row["prompt"] + [{"role": "assistant", "content": row[side]}] for row in rows for side in ("chosen", "rejected")
    ]
    texts = [tokens.tokenizer.apply_chat_template(chat, tokenize=False) for chat in chats]
    found = tokens.lengths(texts)
    return [max(pair) for pair in zip(found[0::2], found[1::2], strict=True)]


def percentile(values: list[int], share: float) -> int:
    """The smallest of the values that `share` of them do not exceed."""
    order = sorted(values)
    return order[max(0, -int(-share * len(order) // 1) - 1)]
