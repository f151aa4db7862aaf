"""Direct preference optimization by TRL. It runs in each process of the training."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from trl import DPOConfig, DPOTrainer

from recipes.common.data.tokens import Tokens
from recipes.common.model.loading import Peak, load_model
from recipes.common.preflight import memory_estimate
from recipes.common.stage.command import Mistake, StageError, StopSignal
from recipes.common.stage.files import write_json
from recipes.common.stage.inputs import TrainingInputs
from recipes.common.trl.rows import Splits, check_pairs, preference, read_splits
from recipes.common.trl.summary import DPO_NAMES, adapter_change, summary
from recipes.common.trl.training import arguments, lora, train
from recipes.profile_dpo.settings import DpoSettings

ZERO2 = Path(__file__).with_name("parallel") / "zero2.json"


def learn(settings: DpoSettings, inputs: TrainingInputs, stop: StopSignal) -> None:
    """OUT holds the trained adapter and its numbers. The first process writes them."""
    world = int(os.environ.get("WORLD_SIZE", 1))
    if settings.device == "cuda":
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", 0)))
    rows = read_splits(inputs.data, "give papers of more authors")
    check_pairs(rows, inputs.data)
    fitting, length = fitting_rows(rows, Tokens(inputs.model), settings.length_share, settings.max_length)
    settings = replace(settings, max_length=length, accumulate=batches_of_each(settings.accumulate, world))
    inputs.work.mkdir(parents=True, exist_ok=True)
    inputs.out.mkdir(parents=True, exist_ok=True)
    peak = Peak(settings.device)
    trainer = make_trainer(settings, inputs, fitting, world)
    trained = train(trainer, inputs.work, stop)
    evaluation = trainer.evaluate()
    if not trainer.is_world_process_zero():
        return
    trainer.model.save_pretrained(inputs.out / "adapter")
    trainer.processing_class.save_pretrained(inputs.out)
    numbers = summary(trained, evaluation, DPO_NAMES)
    numbers |= {
        "seconds_a_step": round(trained.seconds, 4),
        "adapter_change": adapter_change(inputs.out / "adapter"),
    }
    counts = {"rows": len(fitting["train"]), "eval_rows": len(fitting["eval"]), "max_length": length, "ranks": world}
    counts["too_long"] = sum(map(len, rows.values())) - sum(map(len, fitting.values()))
    # each row is two sequences: chosen and rejected
    parts = memory_estimate.training(
        memory_estimate.shape_of(inputs.model),
        settings.dtype,
        settings.nf4,
        trained.parameters,
        2 * settings.batch * length,
        settings.recompute,
    )
    write_json(inputs.out / "history.json", trained.history)
    write_json(inputs.out / "metrics.json", numbers | counts | memory_estimate.numbers(parts, peak.bytes()))
    print("  ".join(f"{name} {value:.4g}" for name, value in numbers.items()), flush=True)


def batches_of_each(accumulate: int, world: int) -> int:
    """The batches of a step that each process takes. Raises Mistake if they cannot be shared equally."""
    if accumulate % world:
        fewer = max(count for count in range(1, world) if accumulate % count == 0)
        raise Mistake(
            f"{world} GPUs cannot share the {accumulate} batches of a step",
            f"`--set dpo.accumulate={world}`, or `--set dpo.ranks={fewer}`",
        )
    return accumulate // world


def make_trainer(settings: DpoSettings, inputs: TrainingInputs, rows: Splits, world: int) -> Any:
    """TRL's trainer of an adapter on all linear layers, whatever names the model gives them."""
    plan = replace(settings, accumulate=settings.accumulate * world).schedule(len(rows["train"]))
    options = arguments(settings, plan, inputs.work)
    if world > 1 and settings.parallel == "zero2":
        options["deepspeed"] = str(ZERO2)
    elif world > 1:
        options |= {"ddp_backend": "gloo" if settings.device == "cpu" else "nccl", "ddp_find_unused_parameters": False}
    tokenizer = Tokens(inputs.model).tokenizer
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    adapter = lora(settings)
    adapter.target_modules = "all-linear"
    datasets = {
        name: Dataset.from_list([preference(row["prompt"], row) for row in part]) for name, part in rows.items()
    }
    config = DPOConfig(**options, beta=settings.beta)
    if world > 1 and settings.device == "cpu":
        # accelerate calls it cpu:0, onto which torch loads no checkpoint
        vars(config)["_setup_devices"] = torch.device("cpu")
    return DPOTrainer(
        model=load_model(inputs.model, settings.device, settings.dtype, settings.nf4),
        args=config,
        train_dataset=datasets["train"],
        eval_dataset=datasets["eval"],
        processing_class=tokenizer,
        peft_config=adapter,
    )


def fitting_rows(rows: Splits, tokens: Tokens, share: float, most: int) -> tuple[Splits, int]:
    """The rows whose two answers fit in a length, and that length in tokens: `share` of the training rows fit in it.
    The length is even and at most `most`."""
    row_lengths = {name: lengths(part, tokens) for name, part in rows.items()}
    length = min(percentile(row_lengths["train"], share), most)
    length += length % 2
    fitting = {
        name: [row for row, row_length in zip(part, row_lengths[name], strict=True) if row_length <= length]
        for name, part in rows.items()
    }
    for name, part in fitting.items():
        if not part:
            raise StageError(
                f"no row of {name}.jsonl has {length:,} tokens or fewer", "set `max_length` higher, or `papers` lower"
            )
    return fitting, length


def lengths(rows: list[dict[str, Any]], tokens: Tokens) -> list[int]:
    """Tokens of each row's prompt with the longer of its two answers."""
    chats = [
        row["prompt"] + [{"role": "assistant", "content": row[side]}] for row in rows for side in ("chosen", "rejected")
    ]
    texts = [tokens.tokenizer.apply_chat_template(chat, tokenize=False) for chat in chats]
    counts = tokens.lengths(texts)
    return [max(pair) for pair in zip(counts[0::2], counts[1::2], strict=True)]


def percentile(values: list[int], share: float) -> int:
    """The smallest of the values that `share` of them do not exceed."""
    order = sorted(values)
    return order[max(0, -int(-share * len(order) // 1) - 1)]
