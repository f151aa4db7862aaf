"""The exported card and report say what was measured, and invent nothing."""

import json

from recipes.common.model.card import read_numbers
from recipes.synthetic_instruct import export
from recipes.synthetic_instruct.export import card, memory_table

MODEL = {"repo": "Qwen/Qwen2.5-3B", "revision": "3aab", "dtype": "bfloat16", "parameters": 1, "bytes": 2, "tensors": 3}
MEMORY = {"memory_predicted_gb": 2.5, "memory_peak_gb": 3.25, "memory_weights_gb": 2.0, "memory_logits_gb": 0.5}
NUMBERS = {
    "generator": {"repo": "meta-llama/Llama-3.1-8B-Instruct", "revision": "0e9e"},
    "filter": {"rows": 1500, "kept": 1000, "dropped": 500},
    "sft": {"steps": 114, "eval_loss": 0.541, **MEMORY},
}


def test_the_card_names_base_generator_and_numbers():
    text = card(MODEL, NUMBERS, "| task |")
    assert text.startswith(
        "---\nlibrary_name: transformers\npipeline_tag: text-generation\nbase_model: Qwen/Qwen2.5-3B\n"
    )
    for part in ("`meta-llama/Llama-3.1-8B-Instruct` (0e9e)", "| kept | 1000 |", "| eval_loss | 0.541 |", "| task |"):
        assert part in text
    assert "## Evaluation" not in card(MODEL, NUMBERS, "")


def test_the_card_says_how_it_was_taught():
    adapted = card(MODEL, NUMBERS, "")
    assert "supervised fine-tuning with LoRA; direct" in adapted and "Both adapters are merged" in adapted
    whole = card(MODEL, NUMBERS | {"sft": NUMBERS["sft"] | {"method": "full"}}, "")
    assert "supervised fine-tuning of all weights; direct" in whole and "The last step's adapter is merged" in whole


def test_memory_is_predicted_beside_measured():
    assert memory_table(NUMBERS).splitlines()[2:] == ["| sft | 2.500 | 3.250 | weights 2, logits 0.5 |"]


def test_the_stage_collects_the_reports(tmp_path, refusal):
    model = tmp_path / "model"
    model.mkdir()
    for name, text in {"model.safetensors": "w", "config.json": "{}", "metrics.json": json.dumps(MODEL)}.items():
        (model / name).write_text(text)
    argv = ["--model", str(model), "--out", str(tmp_path / "out")]
    for name, numbers in NUMBERS.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "metrics.json").write_text(json.dumps(numbers))
        (tmp_path / name / "report.md").write_text("| dropped: refusal | 5 |\n")
        argv += ["--stage", f"{name}={tmp_path / name}"]
    export.main(argv)
    assert "| dropped: refusal | 5 |" in (tmp_path / "out/report.md").read_text()
    assert (tmp_path / "out/model.safetensors").read_text() == "w"
    assert json.loads((model / "metrics.json").read_text()) == MODEL  # although it was linked
    assert refusal(read_numbers, tmp_path) == (
        f"error: `{tmp_path}` is not the output of a finished stage\n\n"
        "hint: name the folder that the stage wrote: it holds metrics.json"
    )
