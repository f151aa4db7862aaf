"""The exported model's card: what it was made of, and what was measured. Pure."""

from typing import Any

from recipes.common.model.card import head, rows

SHOWN = {
    "generate": ("authors", "texts", "unparsed", "profiles"),
    "tournament": ("tournaments", "comparisons", "preferences", "first_share", "disagreement", "coins", "dollars"),
    "dpo": ("steps", "rows", "max_length", "loss_first", "loss_last", "eval_loss", "eval_rewards_accuracies"),
}
"""Stage -> its numbers that the card repeats."""


def card(model: dict[str, Any], numbers: dict[str, dict[str, Any]], texts: dict[str, str]) -> str:
    """`model`: metrics.json of the current model, and its `dtype`; `numbers`: those of the stages; `texts`: reports."""
    base, judge = numbers["model"], numbers["judge"]
    tables = ""
    for stage, found in numbers.items():
        if names := SHOWN.get(stage.rstrip("0123456789")):
            tables += f"\n| {stage} | |\n|---|---|\n{rows(names, found)}\n"
    measured = "".join(f"\n### {name}\n\n{text}" for name, text in texts.items() if name.startswith("evaluate"))
    what = (
        "Preferences come from tournaments of the model's own profiles, judged by "
        f"`{judge['repo']}` ({judge.get('revision') or 'no revision'}); direct preference optimization with a LoRA "
        f"adapter, merged into the weights, which are {model['dtype']}. The adapter of each round is in `adapters/`."
    )
    if not model["trained"]:
        what = (
            "**No round passed the gate: these are the base's own weights.** The adapter of each round is in "
            "`adapters/`; what was measured is below."
        )
    return (
        f"{head(model, 'dpo, trl, peft, profiles')}"
        f"# {base['repo'].rpartition('/')[2]}, tuned to write competency profiles\n\n"
        f"Made from `{base['repo']}` ({base.get('revision') or 'made on the spot'}) to write a researcher's competency "
        f"profile from the abstracts of a few papers. {what}\n\n"
        "## Limits\n\n"
        "A profile says what a judge model prefers to read, not what is true of a person: do not decide about people "
        "by it. The win rate below is that judge's too, on authors who were not trained on.\n\n"
        f"## Evaluation\n{measured}\n"
        f"## Numbers\n{tables}"
    )
