"""SFT or DPO of a LoRA adapter by TRL alone, as its documentation has it; the peer of bench_training.

    python -m benchmarks.peers.trl_by_hand sft|dpo SETTINGS.json --model MODEL --data FOLDER --out OUT --work WORK

The settings are those of recipes.synthetic_instruct's stage. WORK/progress.jsonl gets a line a step.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

from datasets import load_dataset
from peft import LoraConfig
from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
from trl import DPOConfig, DPOTrainer, SFTConfig, SFTTrainer

TEMPLATE = Path(__file__).parents[2] / "recipes/synthetic_instruct/templates/chatml.jinja"


class Clock(TrainerCallback):
    def __init__(self, path: Path):
        self.path = path

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        with open(self.path, "a") as file:
            file.write(json.dumps({"time": time.time(), "step": state.global_step}) + "\n")


def chat(row: dict[str, Any]) -> dict[str, Any]:
    turns = {"user": row["instruction"], "assistant": row["response"]}
    return {"messages": [{"role": role, "content": text} for role, text in turns.items()]}


def preference(row: dict[str, Any]) -> dict[str, Any]:
    answers = {name: [{"role": "assistant", "content": row[name]}] for name in ("chosen", "rejected")}
    return {"prompt": [{"role": "user", "content": row["instruction"]}], **answers}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kind", choices=["sft", "dpo"])
    parser.add_argument("settings", type=Path)
    for name in ("--model", "--data", "--out", "--work"):
        parser.add_argument(name, type=Path, required=True)
    args = parser.parse_args()
    settings = json.loads(args.settings.read_text())
    args.work.mkdir(parents=True)
    tokenizer = AutoTokenizer.from_pretrained(args.model)
    tokenizer.chat_template = TEMPLATE.read_text().rstrip("\n")
    model = AutoModelForCausalLM.from_pretrained(args.model, dtype=settings["dtype"]).to(settings["device"])
    files = {name: str(args.data / f"{name}.jsonl") for name in ("train", "eval")}
    rows = load_dataset("json", data_files=files, cache_dir=str(args.work / "cache"))
    rows = rows.map(chat if args.kind == "sft" else preference, remove_columns=rows["train"].column_names)
    common = {
        "output_dir": str(args.work),
        "use_cpu": settings["device"] == "cpu",
        "bf16": settings["dtype"] == "bfloat16",
        "num_train_epochs": settings["epochs"],
        "per_device_train_batch_size": settings["batch"],
        "gradient_accumulation_steps": settings["accumulate"],
        "learning_rate": settings["lr"],
        "lr_scheduler_type": "cosine",
        "warmup_steps": settings["warmup"],
        "max_grad_norm": settings["grad_clip"],
        "optim": settings["optimizer"],
        "gradient_checkpointing": settings["recompute"],
        "max_length": settings["max_length"],
        "logging_steps": 1,
        "save_steps": settings["save_every"],
        "save_total_limit": settings["keep_last"] + 1,
        "report_to": "none",
        "disable_tqdm": True,
        "dataloader_pin_memory": settings["device"] == "cuda",
        "seed": settings["seed"],
    }
    adapter = LoraConfig(
        r=settings["lora_rank"],
        lora_alpha=settings["lora_alpha"],
        lora_dropout=settings["lora_dropout"],
        target_modules=["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
        task_type="CAUSAL_LM",
    )
    common_arguments = {
        "model": model,
        "processing_class": tokenizer,
        "peft_config": adapter,
        "callbacks": [Clock(args.work / "progress.jsonl")],
    }
    data = {"train_dataset": rows["train"], "eval_dataset": rows["eval"]}
    if args.kind == "sft":
        trainer = SFTTrainer(args=SFTConfig(**common, assistant_only_loss=True), **data, **common_arguments)
    else:
        trainer = DPOTrainer(args=DPOConfig(**common, beta=settings["beta"]), **data, **common_arguments)
    trainer.train()
    trainer.evaluate()
    trainer.save_model(str(args.out))


if __name__ == "__main__":
    main()
