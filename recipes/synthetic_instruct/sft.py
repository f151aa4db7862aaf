"""Supervised fine-tuning of the base on the filtered pairs, by TRL, with a loss on the assistant's words only: of an
adapter (LoRA), of all weights, or of vectors before the chat.

    python -m recipes.synthetic_instruct.sft SETTINGS.json --model MODEL --data FILTERED --out OUT --work WORK

OUT holds adapter/, or model/ where all weights were trained, the tokenizer with its chat template, history.json (what
was logged at each step) and metrics.json. Started again with the same WORK it goes on from the newest complete
checkpoint there.
"""

from pathlib import Path
from typing import Any

from datasets import Dataset
from peft import PromptTuningConfig, PromptTuningInit
from trl import SFTConfig, SFTTrainer

from recipes.common.model.loading import Peak, load_model
from recipes.common.stage.command import StopSignal, run
from recipes.common.stage.inputs import TrainingInputs, read_stage
from recipes.common.trl.training import arguments, lora
from recipes.synthetic_instruct.chat import Chat, turns
from recipes.synthetic_instruct.settings import SftSettings
from recipes.synthetic_instruct.training import check_chats, finish, learn, read_rows

SHOWN = ("loss", "mean_token_accuracy")


def main(argv: list[str] | None = None) -> None:
    """Runs the stage."""
    stop = StopSignal()
    inputs, settings = read_stage(__doc__, TrainingInputs, SftSettings, argv)
    rows = read_rows(inputs.data)
    texts = {name: [(row["instruction"], row["response"]) for row in part] for name, part in rows.items()}
    chat = check_chats(inputs.model, settings, texts["train"])
    peak = Peak(settings.device)
    trainer = make_trainer(inputs.model, settings, chat, texts, inputs.work)
    numbers = learn(trainer, chat, inputs, stop, SHOWN) | {"method": settings.method}
    longest = max(len(ids) for ids in trainer.train_dataset["input_ids"])
    finish(numbers, settings.batch * min(longest, settings.max_length), inputs, settings, peak)


def make_trainer(
    model: Path, settings: SftSettings, chat: Chat, texts: dict[str, list[tuple[str, str]]], work: Path
) -> Any:
    """TRL's trainer. Rows longer than `max_length` are cut at their end. Weights that are trained themselves are
    float32: steps of 1e-5 would vanish in bfloat16's 8 bits."""
    plan = settings.schedule(len(texts["train"]))
    dtype = "float32" if settings.method == "full" else settings.dtype
    datasets = {
        name: Dataset.from_list([{"messages": turns(*pair)} for pair in pairs]) for name, pairs in texts.items()
    }
    return SFTTrainer(
        model=load_model(model, settings.device, dtype, settings.nf4),
        args=SFTConfig(**arguments(settings, plan, work), assistant_only_loss=True, packing=False),
        train_dataset=datasets["train"],
        eval_dataset=datasets["eval"],
        processing_class=chat.tokenizer,
        peft_config={"lora": lora, "prompt": prompt, "full": lambda _: None}[settings.method](settings),
    )


def prompt(settings: SftSettings) -> Any:
    """peft's configuration of prompt tuning: its vectors begin as those of random words of the vocabulary."""
    return PromptTuningConfig(
        task_type="CAUSAL_LM",
        num_virtual_tokens=settings.virtual_tokens,
        prompt_tuning_init=PromptTuningInit.SAMPLE_VOCAB,
    )


if __name__ == "__main__":
    run(main)
