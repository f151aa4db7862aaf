"""The base with an adapter in its weights, or the base trained whole: a model of its own, which says what they say.

    python -m recipes.synthetic_instruct.merge_adapter SETTINGS.json --base MODEL --training OUT --out OUT --work WORK

OUT is a Hugging Face model with the target's chat template, and metrics.json. 4-bit bases are merged at their full
precision: the adapter goes into the weights as they were before they were packed.
"""

import argparse
from pathlib import Path

from recipes.common.checkpoint.convert import DTYPES
from recipes.common.checkpoint.lora import merge
from recipes.common.checkpoint.lora_check import check
from recipes.common.model.export import FILE_BYTES
from recipes.common.stage.command import run, tensor_progress
from recipes.common.stage.files import read_json, write_json
from recipes.common.stage.settings import read_settings
from recipes.synthetic_instruct.chat import open_chat, save_chat
from recipes.synthetic_instruct.settings import MergeSettings


def main(argv: list[str] | None = None) -> None:
    """Runs the stage."""
    parser = argparse.ArgumentParser(
        prog="python -m recipes.synthetic_instruct.merge_adapter", description=__doc__.split("\n")[0]
    )
    parser.add_argument("settings", type=Path)
    for name in ("--base", "--training", "--out", "--work"):
        parser.add_argument(name, type=Path, required=True)
    args = parser.parse_args(argv)
    settings = read_settings(args.settings, MergeSettings)
    trained, adapter = args.training / "model", args.training / "adapter"
    whole = trained.is_dir()
    start, change = (trained, None) if whole else (args.base, adapter)
    with tensor_progress(args.work) as on_tensor:
        made = merge(start, change, args.out, DTYPES[settings.export_dtype], FILE_BYTES, on_tensor)
    save_chat(open_chat(args.base, settings.template), args.out)
    difference = check(start, change, args.out, settings.device)
    base = read_json(args.base / "metrics.json") or {}
    numbers = {"parameters": made.parameters, "bytes": made.bytes, "dtype": made.dtype, "tensors": made.tensors}
    compared = {"logits_difference": difference.largest, "logits_share": difference.share}
    source = {"repo": base.get("repo", str(args.base)), "revision": base.get("revision")}
    write_json(args.out / "metrics.json", numbers | compared | source | {"same_token": difference.same_token})
    print(f"{made}; logits differ by at most {difference.largest:.3g}")


if __name__ == "__main__":
    run(main)
