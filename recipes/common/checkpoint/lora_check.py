"""Whether a merged model computes what its base and its adapter compute together."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from recipes.common.stage.command import StageError

TOKENS = 128
"""Tokens, spread over the vocabulary, after each of which the next one's logits are compared."""

EXACT = 1e-5
"""The largest difference of float32 logits, or of their size where that is above 1."""

ROUNDED = 0.1
"""The same with 16 bits a weight, as the root of the mean square over that of the logits: rounding a layer's weights to
bfloat16's 8 bits changes what it says by about 0.2 %, and errors add up over the layers."""


@dataclass(frozen=True)
class Difference:
    """Of logits: the largest, and the root of the mean square as a share of the logits' own."""

    largest: float
    share: float
    same_token: float
    """The share of places at which both find the same token the likeliest."""


def check(base: Path, adapter: Path | None, merged: Path, device: str) -> Difference:
    """How far the merged model is from its base with the adapter; StageError when that is more than rounding.

    Both are opened by transformers and peft, one after the other, on a CPU in float32, or on all GPUs as they are.
    """
    actual = _logits(merged, None, device)
    expected = _logits(base, adapter, device)
    distance = (actual - expected).abs()
    difference = Difference(
        float(distance.max()),
        float(distance.square().mean().sqrt() / expected.square().mean().sqrt()),
        float((actual.argmax(-1) == expected.argmax(-1)).float().mean()),
    )
    exact = _stored_dtype(merged) == torch.float32 and device == "cpu"
    limit = EXACT * max(1.0, float(expected.abs().max())) if exact else ROUNDED
    value = difference.largest if exact else difference.share
    if not value <= limit:  # NaN too
        raise StageError(
            f"`{merged}` is not `{base}`{f' with `{adapter}`' if adapter else ''}: logits differ by {value:.3g}, "
            f"at most {limit:.3g} is rounding",
            "merge again; if the error stays, transformers gives this model's weights other names in memory "
            "than on disk",
        )
    return difference


@torch.no_grad()
def _logits(folder: Path, adapter: Path | None, device: str) -> torch.Tensor:
    """(TOKENS, vocabulary) in float32, on the CPU."""
    from transformers import AutoModelForCausalLM

    placed: dict[str, Any] = {"dtype": torch.float32} if device == "cpu" else {"dtype": "auto", "device_map": "auto"}
    model = AutoModelForCausalLM.from_pretrained(folder, local_files_only=True, **placed)
    if adapter:
        from peft import PeftModel

        model = PeftModel.from_pretrained(model, adapter)
    vocabulary = model.get_input_embeddings().num_embeddings
    ids = (torch.arange(TOKENS) * max(1, vocabulary // TOKENS) % vocabulary)[None]
    return model.eval()(input_ids=ids.to(model.device)).logits[0].float().cpu()


def _stored_dtype(folder: Path) -> torch.dtype:
    from transformers import AutoConfig

    return AutoConfig.from_pretrained(folder, local_files_only=True).dtype
