"""The parts that SFT and DPO share: rows, chats, output and numbers."""

from pathlib import Path
from typing import Any

from recipes.common.checkpoint.difference import largest_change
from recipes.common.model.loading import Peak
from recipes.common.preflight import memory_estimate
from recipes.common.stage.command import StopSignal
from recipes.common.stage.files import write_json
from recipes.common.stage.inputs import TrainingInputs
from recipes.common.trl.rows import Splits, read_splits
from recipes.common.trl.summary import adapter_change, summary
from recipes.common.trl.training import train
from recipes.synthetic_instruct.chat import Chat, one_bos, open_chat, turns
from recipes.synthetic_instruct.settings import Training


def read_rows(data: Path) -> Splits:
    """The rows to train on and those to evaluate with. Raises StageError if there are none."""
    return read_splits(data, "an earlier stage left none: read its report")


def check_chats(model: Path, settings: Training, texts: list[tuple[str, str]]) -> Chat:
    """The target's chat, once it is sure that no chat begins with two BOS."""
    chat = open_chat(model, settings.template)
    for instruction, response in texts[:8]:
        ids = chat.tokenizer.apply_chat_template(turns(instruction, response), return_dict=False)
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
    change = adapter_change(inputs.out / "adapter") if adapted else largest_change(inputs.model, inputs.out / "model")
    return summary(trained, measured, shown) | rows | {"adapter_change" if adapted else "model_change": change}


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
