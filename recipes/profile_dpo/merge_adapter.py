"""Merges the trained adapter into the model that it was trained on, and proves that both say the same.

    python -m recipes.profile_dpo.merge_adapter SETTINGS.json --base MODEL --training OUT --out OUT --work WORK

OUT is a whole model with its tokenizer, and metrics.json.
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
from recipes.profile_dpo.settings import MergeSettings


def main(argv: list[str] | None = None) -> None:
    """Runs the stage."""
    parser = argparse.ArgumentParser(
        prog="python -m recipes.profile_dpo.merge_adapter", description=__doc__.split("\n")[0]
    )
    parser.add_argument("settings", type=Path)
    for name in ("--base", "--training", "--out", "--work"):
        parser.add_argument(name, type=Path, required=True)
    args = parser.parse_args(argv)
    settings, adapter = read_settings(args.settings, MergeSettings), args.training / "adapter"
    with tensor_progress(args.work) as on_tensor:
        made = merge(args.base, adapter, args.out, DTYPES[settings.export_dtype], FILE_BYTES, on_tensor)
    apart = check(args.base, adapter, args.out, settings.device)
    base = read_json(args.base / "metrics.json") or {}
    numbers = {"parameters": made.parameters, "bytes": made.bytes, "dtype": made.dtype, "tensors": made.tensors}
    origin = {"repo": base.get("repo", str(args.base)), "revision": base.get("revision")}
    compared = {"logits_difference": apart.largest, "logits_share": apart.share, "same_token": apart.same_token}
    write_json(args.out / "metrics.json", numbers | origin | compared)
    print(f"{made}; logits differ by at most {apart.largest:.3g}")


if __name__ == "__main__":
    run(main)
