"""The stage that merges an adapter into its base, and proves that the result computes the same.

torch is imported only to merge: a check of the settings does not need it.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recipes.common.stage.command import tensor_progress
from recipes.common.stage.inputs import StageInputs
from recipes.common.stage.settings import check_choice

EXPORT_DTYPES = ("bfloat16", "float16", "float32", "keep")


@dataclass(frozen=True)
class MergeSettings:
    """The stage's JSON, key by key."""

    device: str
    """Where both are compared: cuda, on all GPUs, or cpu."""
    export_dtype: str

    def __post_init__(self) -> None:
        check_choice(self, "device", ("cuda", "cpu"))
        check_choice(self, "export_dtype", EXPORT_DTYPES)


@dataclass(frozen=True, kw_only=True)
class MergeInputs(StageInputs):
    """What the command line names: the base, and the output of the training whose adapter goes into it."""

    base: Path
    training: Path


def merge_and_compare(base: Path, adapter: Path | None, inputs: StageInputs, settings: MergeSettings) -> dict[str, Any]:
    """`inputs.out` is the base with the adapter in its weights, where there is one, and its tokenizer. Returns what
    metrics.json says of it and of the comparison; StageError where they differ by more than rounding."""
    from recipes.common.checkpoint.convert import DTYPES, FILE_BYTES
    from recipes.common.checkpoint.lora import merge
    from recipes.common.checkpoint.lora_check import check

    with tensor_progress(inputs.work) as on_tensor:
        summary = merge(base, adapter, inputs.out, DTYPES[settings.export_dtype], FILE_BYTES, on_tensor)
    difference = check(base, adapter, inputs.out, settings.device)
    print(f"{summary}; logits differ by at most {difference.largest:.3g}")
    compared = {
        "logits_difference": difference.largest,
        "logits_share": difference.share,
        "same_token": difference.same_token,
    }
    return summary.numbers() | compared
