"""The base with an adapter in its weights, or the base trained whole: a model of its own, which says what they say.

    python -m recipes.synthetic_instruct.merge_adapter SETTINGS.json --base MODEL --training OUT --out OUT --work WORK

OUT is a Hugging Face model with the target's chat template, and metrics.json. 4-bit bases are merged at their full
precision: the adapter goes into the weights as they were before they were packed.
"""

from dataclasses import dataclass
from pathlib import Path

from recipes.common.checkpoint.convert import DTYPES
from recipes.common.checkpoint.lora import merge
from recipes.common.checkpoint.lora_check import check
from recipes.common.model.export import FILE_BYTES
from recipes.common.stage.command import run, tensor_progress
from recipes.common.stage.files import read_json, write_json
from recipes.common.stage.inputs import StageInputs, read_inputs
from recipes.common.stage.settings import read_settings
from recipes.synthetic_instruct.chat import open_chat, save_chat
from recipes.synthetic_instruct.settings import MergeSettings


@dataclass(frozen=True, kw_only=True)
class Inputs(StageInputs):
    """What the command line names."""

    base: Path
    training: Path


def main(argv: list[str] | None = None) -> None:
    """Runs the stage."""
    inputs = read_inputs(__doc__, Inputs, argv)
    settings = read_settings(inputs.settings, MergeSettings)
    trained, adapter = inputs.training / "model", inputs.training / "adapter"
    whole = trained.is_dir()
    start, change = (trained, None) if whole else (inputs.base, adapter)
    with tensor_progress(inputs.work) as on_tensor:
        made = merge(start, change, inputs.out, DTYPES[settings.export_dtype], FILE_BYTES, on_tensor)
    save_chat(open_chat(inputs.base, settings.template), inputs.out)
    difference = check(start, change, inputs.out, settings.device)
    base = read_json(inputs.base / "metrics.json") or {}
    numbers = {"parameters": made.parameters, "bytes": made.bytes, "dtype": made.dtype, "tensors": made.tensors}
    compared = {"logits_difference": difference.largest, "logits_share": difference.share}
    source = {"repo": base.get("repo", str(inputs.base)), "revision": base.get("revision")}
    write_json(inputs.out / "metrics.json", numbers | compared | source | {"same_token": difference.same_token})
    print(f"{made}; logits differ by at most {difference.largest:.3g}")


if __name__ == "__main__":
    run(main)
