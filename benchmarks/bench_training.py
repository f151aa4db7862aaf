"""Our SFT and DPO stages beside the same trainings by TRL alone; needs the trainers' environment.

    python -m benchmarks.bench_training [--steps N]

On a GPU a model of Qwen2.5-0.5B's shape learns, in bfloat16; on a CPU one of a million weights.
"""

import json
import random
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.support.measure import ROOT, Usage, ratio, run, spread
from benchmarks.support.result import Result, Verdict, load, parser, report

CHATS = ROOT / "recipes/synthetic_instruct/sample/chats.jsonl"
COMMON = {
    "nf4": False,
    "seed": 42,
    "template": "chatml",
    "lora_rank": 8,
    "lora_alpha": 16,
    "lora_dropout": 0.05,
    "optimizer": "adamw_torch",
    "grad_clip": 0.3,
    "recompute": False,
    "keep_last": 1,
    "epochs": 1.0,
    "accumulate": 1,
    "warmup": 0.0,
    "lr": 1e-4,
}
OWN: dict[str, dict[str, Any]] = {"sft": {"method": "lora", "virtual_tokens": 4}, "dpo": {"beta": 0.1}}
SIZES: dict[str, dict[str, Any]] = {
    "cpu": {"device": "cpu", "dtype": "float32", "batch": 4, "max_length": 256},
    "cuda": {"device": "cuda", "dtype": "bfloat16", "batch": 8, "max_length": 1024},
}
NOTE = """Same rows, model, settings and seed; LoRA; a checkpoint every tenth of the steps. `a step` is the median
time between two steps of the trainer's loop; the whole process also loads the model, evaluates and saves. Ours also
checks the chats and the pairs before, writes each step's progress, marks complete checkpoints, and compares the
weights at the end."""
SMALL = {"hidden_size": 128, "intermediate_size": 512, "num_hidden_layers": 4, "num_attention_heads": 4}
"""The model's shape on a CPU."""
NO_GPU = """No GPU at hand: the model has four layers and a million weights, and a millisecond around a step still
shows; the rehearsal's, of two layers of 64, has nothing to compute at all. On a machine with a GPU the same
command trains a model of 0.5 B weights there; that, and the adversarial trainer's share of verl's time,
nobody has measured yet."""


def make(model: Path, data: Path, rows: int, large: bool) -> None:
    """A model with random weights, and rows for both stages."""
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    from benchmarks.data.checkpoint import SIZES as SHAPES
    from recipes.common.model.tiny import train_tokenizer

    pairs = [json.loads(line) for line in CHATS.read_text().splitlines()]
    tokenizer = train_tokenizer(text for pair in pairs for text in pair.values())
    shape = {**SHAPES["0.5b"], "vocab_size": 151_936} if large else {**SMALL, "vocab_size": len(tokenizer)}
    config = Qwen2Config(**shape, num_key_value_heads=2, tie_word_embeddings=True)
    Qwen2ForCausalLM(config).to(torch.bfloat16 if large else torch.float32).save_pretrained(model)
    tokenizer.save_pretrained(model)
    chance = random.Random(1)
    for kind in OWN:
        (data / kind).mkdir(parents=True)
        for name, number in (("train", rows), ("eval", 8)):
            with open(data / kind / f"{name}.jsonl", "w") as file:
                for index in range(number):
                    pair, other = chance.sample(pairs, 2)
                    answers = (
                        {"response": pair["response"]}
                        if kind == "sft"
                        else {"chosen": pair["response"], "rejected": other["response"]}
                    )
                    file.write(json.dumps({"index": index, "instruction": pair["instruction"], **answers}) + "\n")


def seconds_a_step(work: Path) -> float:
    """The median time between two steps that the training reported."""
    lines = [json.loads(line) for line in (work / "progress.jsonl").read_text().splitlines()]
    times = [line["time"] for line in lines if "step" in line and "checkpoint" not in line]
    return median(later - earlier for earlier, later in pairwise(times))


def run_training(kind: str, program: Sequence[str], folder: Path, env: Mapping[str, str]) -> tuple[float, Usage]:
    """Seconds of a step, and what the whole process took."""
    for name in ("out", "work"):
        shutil.rmtree(folder / name, ignore_errors=True)
    paths = {"model": folder / "model", "data": folder / "data" / kind, "out": folder / "out", "work": folder / "work"}
    flags = [argument for name, path in paths.items() for argument in (f"--{name}", str(path))]
    took = run([sys.executable, "-m", *program, str(folder / f"{kind}.json"), *flags], env=env)
    return seconds_a_step(folder / "work"), took


def measure(kind: str, rounds: int, folder: Path, env: Mapping[str, str]) -> dict[str, list[tuple[float, Usage]]]:
    """TRL alone and our stage, in turn."""
    programs = {
        "TRL alone": ["benchmarks.peers.trl_by_hand", kind],
        "our stage": [f"recipes.synthetic_instruct.{kind}"],
    }
    measurements: dict[str, list[tuple[float, Usage]]] = {name: [] for name in programs}
    for _ in range(rounds):
        for name, program in programs.items():
            measurements[name].append(run_training(kind, program, folder, env))
    return measurements


def main() -> None:
    import torch

    options = parser(__doc__)
    options.add_argument("--steps", type=int, default=100)
    args, before = options.parse_args(), load()
    gpu = torch.cuda.is_available()
    size = SIZES["cuda" if gpu else "cpu"]
    env = {"HF_HUB_OFFLINE": "1", **({} if gpu else {"OMP_NUM_THREADS": "1"})}
    rows, verdicts = [], []
    with tempfile.TemporaryDirectory(dir=args.scratch, prefix="training-") as scratch:
        folder = Path(scratch)
        make(folder / "model", folder / "data", args.steps * size["batch"], gpu)
        for kind, own in OWN.items():
            settings = {**COMMON, **size, **own, "save_every": max(1, args.steps // 10)}
            (folder / f"{kind}.json").write_text(json.dumps(settings))
            measurements = measure(kind, args.rounds, folder, env)
            for name, rounds in measurements.items():
                cells = spread([1000 * step for step, _ in rounds], ".1f"), spread([took.wall for _, took in rounds])
                rows.append([f"{kind.upper()}, {args.steps} steps, {name}", *cells])
            share = ratio(*([step for step, _ in measurements[name]] for name in ("our stage", "TRL alone")))
            verdicts.append(Verdict(f"a step of {kind.upper()}, as a share of TRL's alone", share, 1.05))
    head = ["", "a step, ms", "whole process, s"]
    notes = [NOTE, f"GPU: {torch.cuda.get_device_name()}." if gpu else NO_GPU]
    versions = ["torch", "transformers", "trl", "peft"]
    report(Result("training", "Training", head, rows, verdicts, notes, versions), before, args.result)


if __name__ == "__main__":
    main()
