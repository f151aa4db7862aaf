"""Direct preference optimization of the fine-tuned model, by TRL, with a new LoRA adapter.

    python -m recipes.synthetic_instruct.dpo SETTINGS.json --model MODEL --data PREFERRED --out OUT --work WORK

The reference is the same model without the adapter, so that no second copy is in memory. OUT holds adapter/, the
tokenizer, history.json and metrics.json. Started again with the same WORK it goes on from the newest checkpoint there.
"""

from pathlib import Path
from typing import Any

from datasets import Dataset
from trl import DPOConfig, DPOTrainer

from recipes.common.model.loading import Peak, load_model
from recipes.common.stage.command import StopSignal, run
from recipes.common.trl.rows import Splits, check_pairs
from recipes.common.trl.summary import DPO_NAMES
from recipes.common.trl.training import arguments, lora
from recipes.synthetic_instruct.chat import Chat
from recipes.synthetic_instruct.settings import DpoSettings
from recipes.synthetic_instruct.training import check_chats, finish, learn, read_command, read_rows, schedule_of


def main(argv: list[str] | None = None) -> None:
    """Runs the stage."""
    stop = StopSignal()
    settings, inputs = read_command(__doc__, argv, DpoSettings)
    rows = read_rows(inputs.data)
    check_pairs(rows, inputs.data)
    chat = check_chats(inputs.model, settings, [(row["instruction"], row["chosen"]) for row in rows["train"]])
    peak = Peak(settings.device)
    trainer = make_trainer(inputs.model, settings, chat, rows, inputs.work)
    numbers = learn(trainer, chat, inputs, stop, DPO_NAMES)
    # each row is two sequences, chosen and rejected, both padded to the longest
    tokens = 2 * settings.batch * min(longest(trainer.train_dataset), settings.max_length)
    finish(numbers, tokens, inputs, settings, peak)


def make_trainer(model: Path, settings: DpoSettings, chat: Chat, rows: Splits, work: Path) -> Any:
    """TRL's trainer of the adapter."""
    plan = schedule_of(settings, len(rows["train"]))
    datasets = {name: Dataset.from_list([_preference(row) for row in part]) for name, part in rows.items()}
    return DPOTrainer(
        model=load_model(model, settings.device, settings.dtype, settings.nf4),
        args=DPOConfig(**arguments(settings, plan, work), beta=settings.beta),
        train_dataset=datasets["train"],
        eval_dataset=datasets["eval"],
        processing_class=chat.tokenizer,
        peft_config=lora(settings),
    )


def longest(dataset: Any) -> int:
    """Tokens of the longest prompt with an answer."""
    rows = zip(dataset["prompt_ids"], dataset["chosen_ids"], dataset["rejected_ids"], strict=True)
    return max(len(prompt) + max(len(chosen), len(rejected)) for prompt, chosen, rejected in rows)


def _preference(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "prompt": [{"role": "user", "content": row["instruction"]}],
        "chosen": [{"role": "assistant", "content": row["chosen"]}],
        "rejected": [{"role": "assistant", "content": row["rejected"]}],
    }


if __name__ == "__main__":
    run(main)
