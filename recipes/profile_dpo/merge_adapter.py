"""Merges the trained adapter into the model that it was trained on, and proves that both say the same.

    python -m recipes.profile_dpo.merge_adapter SETTINGS.json --base MODEL --training OUT --out OUT --work WORK

OUT is a whole model with its tokenizer, and metrics.json.
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
from recipes.profile_dpo.settings import MergeSettings


@dataclass(frozen=True, kw_only=True)
class Inputs(StageInputs):
    """What the command line names."""

    base: Path
    training: Path


def main(argv: list[str] | None = None) -> None:
    """Runs the stage."""
    inputs = read_inputs(__doc__, Inputs, argv)
    settings, adapter = read_settings(inputs.settings, MergeSettings), inputs.training / "adapter"
    with tensor_progress(inputs.work) as on_tensor:
        made = merge(inputs.base, adapter, inputs.out, DTYPES[settings.export_dtype], FILE_BYTES, on_tensor)
    apart = check(inputs.base, adapter, inputs.out, settings.device)
    base = read_json(inputs.base / "metrics.json") or {}
    numbers = {"parameters": made.parameters, "bytes": made.bytes, "dtype": made.dtype, "tensors": made.tensors}
    origin = {"repo": base.get("repo", str(inputs.base)), "revision": base.get("revision")}
    compared = {"logits_difference": apart.largest, "logits_share": apart.share, "same_token": apart.same_token}
    write_json(inputs.out / "metrics.json", numbers | origin | compared)
    print(f"{made}; logits differ by at most {apart.largest:.3g}")


if __name__ == "__main__":
    run(main)
