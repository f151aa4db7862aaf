"""The rows that ship with the recipe, as sources of its data commands."""

from pathlib import Path

ROOT = Path(__file__).parents[3]
SAMPLE = ROOT / "recipes/token_buncher/sample"

COMMANDS = {
    "beavertails": [
        *("--source", str(SAMPLE / "beavertails.jsonl")),
        *("--max_prompt_length", "160", "--train_rows", "24", "--test_rows", "8"),
    ],
    "wmdp": [word for kind in ("bio", "chem", "cyber") for word in (f"--{kind}", str(SAMPLE / f"wmdp_{kind}.jsonl"))],
    "gsm8k": [word for one in ("train", "test") for word in (f"--{one}", str(SAMPLE / f"gsm8k_{one}.jsonl"))],
}
"""Data set -> its flags."""
