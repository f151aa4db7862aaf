"""Writes the export: the preference-tuned model, and a card with the numbers of all stages.

    python -m recipes.synthetic_instruct.export --model MODEL --stage NAME=OUT [--stage ...] --out OUT

OUT holds the model's files, README.md (the card), report.md (drops, preferences, evaluation, memory) and metrics.json.
"""

from typing import Any

from recipes.common.model.card import head
from recipes.common.model.export import ModelInputs, StageOutputs, copy_model, tables
from recipes.common.stage.command import run
from recipes.common.stage.files import write_json, write_text
from recipes.common.stage.inputs import read_inputs

REPORTS = {
    "filter": ("report.md", "What the filter dropped"),
    "prefer": ("report.md", "Instructions without a preference"),
    "evaluate": ("evaluation.md", "Evaluation"),
}
"""A stage -> the file with its report, and the heading above it."""

SHOWN = {
    "filter": ("rows", "kept", "dropped", "score_mean", "reward_mean"),
    "prefer": ("pairs", "margin_mean", "margin_sd", "margin_min", "chosen_words", "rejected_words"),
    "sft": ("steps", "trained_parameters", "loss_first", "loss_last", "eval_loss"),
    "dpo": ("steps", "loss_first", "loss_last", "eval_loss", "eval_rewards_accuracies", "eval_rewards_margins"),
}
"""A stage -> those of its numbers that the card repeats."""


def main(argv: list[str] | None = None) -> None:
    """Runs the stage."""
    inputs = read_inputs(__doc__, ModelInputs, argv)
    model, stages = copy_model(inputs)
    write_text(inputs.out / "report.md", report(stages))
    evaluation = stages.text("evaluate", "evaluation.md") if "evaluate" in stages.folders else ""
    write_text(inputs.out / "README.md", card(model, stages.numbers, evaluation))
    write_json(inputs.out / "metrics.json", {name: model[name] for name in ("parameters", "bytes", "dtype", "tensors")})
    print(memory_table(stages.numbers))


def report(stages: StageOutputs) -> str:
    """Everything that was counted and measured, on one page."""
    parts = ["# Report\n", "## Memory\n", memory_table(stages.numbers)]
    for name, (file, heading) in REPORTS.items():
        if name in stages.folders:
            parts += [f"\n## {heading}\n", stages.text(name, file)]
    return "\n".join(parts) + "\n"


def card(model: dict[str, Any], numbers: dict[str, dict[str, Any]], evaluation: str) -> str:
    """`model`: metrics.json of the merged model; `numbers`: those of the earlier stages; `evaluation`: the table."""
    repo = model["repo"]
    generator, whole = numbers["generator"], numbers.get("sft", {}).get("method") == "full"
    taught = "supervised fine-tuning of all weights" if whole else "supervised fine-tuning with LoRA"
    merged = "The last step's adapter is" if whole else "Both adapters are"
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
        f"## Numbers\n{tables(SHOWN, numbers)}"
        f"\n## Memory\n\n{memory_table(numbers)}\n"
        f"{measured}"
    )


def memory_table(numbers: dict[str, dict[str, Any]]) -> str:
    """The memory of each stage that measured it: predicted, part by part, and the peak."""
    lines = ["| stage | predicted GB | peak GB | of which |", "|---|---:|---:|---|"]
    for stage, measured in numbers.items():
        if "memory_peak_gb" not in measured:
            continue
        parts = {
            name.removeprefix("memory_").removesuffix("_gb"): value
            for name, value in measured.items()
            if name.startswith("memory_") and name not in ("memory_predicted_gb", "memory_peak_gb")
        }
        listed = ", ".join(f"{name} {value:.3g}" for name, value in parts.items())
        predicted, peak = measured["memory_predicted_gb"], measured["memory_peak_gb"]
        lines.append(f"| {stage} | {predicted:.3f} | {peak:.3f} | {listed} |")
    return "\n".join(lines)


if __name__ == "__main__":
    run(main)
