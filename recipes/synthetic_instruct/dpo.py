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
from recipes.common.stage.inputs import TrainingInputs, read_stage
from recipes.common.trl.rows import Splits, check_pairs, preference
from recipes.common.trl.summary import DPO_NAMES
from recipes.common.trl.training import arguments, lora
from recipes.synthetic_instruct.chat import Chat
from recipes.synthetic_instruct.settings import DpoSettings
from recipes.synthetic_instruct.training import check_chats, finish, learn, read_rows


def main(argv: list[str] | None = None) -> None:
    """Runs the stage."""
    stop = StopSignal()
    inputs, settings = read_stage(__doc__, TrainingInputs, DpoSettings, argv)
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
    plan = settings.schedule(len(rows["train"]))
    datasets = {}
    for name, part in rows.items():
        asked = ([{"role": "user", "content": row["instruction"]}] for row in part)
        datasets[name] = Dataset.from_list(list(map(preference, asked, part)))
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


if __name__ == "__main__":
    run(main)
