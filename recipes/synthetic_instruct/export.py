"""Makes the folder that goes home: the preference-tuned model, and a card with what was measured on the way.

    python -m recipes.synthetic_instruct.export --model MODEL --stage NAME=OUT [--stage ...] --out OUT

OUT holds the model's files, README.md (the card), report.md (drops, preferences, evaluation, memory) and metrics.json.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from recipes.common.model.card import head, outs_of, read_numbers, rows
from recipes.common.model.fetch import link
from recipes.common.stage.command import run
from recipes.common.stage.files import write_json, write_text
from recipes.common.stage.inputs import read_inputs

REPORTS = {
    "filter": ("report.md", "What the filter dropped"),
    "prefer": ("report.md", "Instructions without a preference"),
    "evaluate": ("evaluation.md", "Evaluation"),
}
"""Stage -> the text that it left, and its heading."""


SHOWN = {
    "filter": ("rows", "kept", "dropped", "score_mean", "reward_mean"),
    "prefer": ("pairs", "margin_mean", "margin_sd", "margin_min", "chosen_words", "rejected_words"),
    "sft": ("steps", "trained_parameters", "loss_first", "loss_last", "eval_loss"),
    "dpo": ("steps", "loss_first", "loss_last", "eval_loss", "eval_rewards_accuracies", "eval_rewards_margins"),
}
"""Stage -> its numbers that the card repeats."""


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """What the command line names."""

    model: Path
    out: Path
    stage: Annotated[list[str], {"action": "append", "metavar": "NAME=OUT", "help": "an earlier stage's output"}] = ()


def main(argv: list[str] | None = None) -> None:
    """Runs the stage."""
    inputs = read_inputs(__doc__, Inputs, argv)
    outs = outs_of(inputs.stage)
    numbers = {name: read_numbers(place) for name, place in outs.items()}
    model = read_numbers(inputs.model)
    inputs.out.mkdir(parents=True, exist_ok=True)
    link(inputs.model, inputs.out)
    (inputs.out / "metrics.json").unlink(missing_ok=True)  # the model's own, on the same bytes
    write_text(inputs.out / "report.md", report(outs, numbers))
    table = (outs["evaluate"] / "evaluation.md").read_text(encoding="utf-8") if "evaluate" in outs else ""
    write_text(inputs.out / "README.md", card(model, numbers, table))
    write_json(inputs.out / "metrics.json", {name: model[name] for name in ("parameters", "bytes", "dtype", "tensors")})
    print(memory_table(numbers))


def report(outs: dict[str, Path], numbers: dict[str, dict[str, Any]]) -> str:
    """Everything that was counted and measured, on one page."""
    parts = ["# Report\n", "## Memory\n", memory_table(numbers)]
    for name, (file, heading) in REPORTS.items():
        if name in outs:
            parts += [f"\n## {heading}\n", (outs[name] / file).read_text(encoding="utf-8")]
    return "\n".join(parts) + "\n"


def card(model: dict[str, Any], numbers: dict[str, dict[str, Any]], evaluation: str) -> str:
    """`model`: metrics.json of the merged model; `numbers`: those of the earlier stages; `evaluation`: the table."""
    repo = model["repo"]
    generator, whole = numbers["generator"], numbers.get("sft", {}).get("method") == "full"
    taught = "supervised fine-tuning of all weights" if whole else "supervised fine-tuning with LoRA"
    merged = "The last step's adapter is" if whole else "Both adapters are"
    shown = {stage: rows(names, numbers[stage]) for stage, names in SHOWN.items() if stage in numbers}
    tables = "\n".join(f"\n| {stage} | |\n|---|---|\n{lines}\n" for stage, lines in shown.items())
    heading = "\n## Evaluation\n\nlm-evaluation-harness; ± is one standard error.\n\n"
    measured = f"{heading}{evaluation}" if evaluation else ""
    return (
        f"{head(model, 'synthetic, magpie, sft, dpo, trl')}"
        f"# {repo.rpartition('/')[2]}, tuned on synthetic instructions\n\n"
        f"Made from `{repo}` ({model.get('revision') or 'made on the spot'}): instructions and answers that "
        f"`{generator['repo']}` ({generator.get('revision') or 'made on the spot'}) wrote after nothing but the "
        f"beginning of a user's turn (Magpie, arXiv:2406.08464), filtered; {taught}; direct preference optimization by "
        f"LoRA on the best and the worst of several answers, by a reward model. {merged} merged into the weights, "
        f"which are {model['dtype']}.\n\n"
        "## Limits\n\n"
        "All training texts are another model's, whose mistakes and terms of use come with them. The filter drops "
        "refusals: do not expect the model to refuse what its base would not.\n\n"
        f"## Numbers\n{tables}"
        f"\n## Memory\n\n{memory_table(numbers)}\n"
        f"{measured}"
    )


def memory_table(numbers: dict[str, dict[str, Any]]) -> str:
    """Of each stage that measured it: what was predicted, part by part, and the peak."""
    lines = ["| stage | predicted GB | peak GB | of which |", "|---|---:|---:|---|"]
    for stage, found in numbers.items():
        if "memory_peak_gb" not in found:
            continue
        parts = {
            name.removeprefix("memory_").removesuffix("_gb"): value
            for name, value in found.items()
            if name.startswith("memory_") and name not in ("memory_predicted_gb", "memory_peak_gb")
        }
        of = ", ".join(f"{name} {value:.3g}" for name, value in parts.items())
        lines.append(f"| {stage} | {found['memory_predicted_gb']:.3f} | {found['memory_peak_gb']:.3f} | {of} |")
    return "\n".join(lines)


if __name__ == "__main__":
    run(main)
