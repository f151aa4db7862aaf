"""How far two sets of weights are apart: the proof that a training changed them."""

from pathlib import Path

import torch

from recipes.common.checkpoint.fsdp import RANK_FILES, open_shards
from recipes.common.checkpoint.hf_tensors import StoredTensor, open_stored
from recipes.common.checkpoint.sharded_tensor import BLOCK, ShardedTensor, Tensor
from recipes.common.stage.command import StageError


def largest_change(before: Path, after: Path, sample: int | None = None) -> float:
    """The largest |after - before| over the floating-point tensors that both folders have; NaN when there is one.

    Each folder is one role of a verl checkpoint or a Hugging Face model. With `sample`, only so many tensors are read,
    evenly spaced in the model's order. Of each side one block is in memory at a time.
    """
    old, new = open_weights(before), open_weights(after)
    names = [name for name in old if name in new and old[name].dtype.is_floating_point]
    if not names:
        raise StageError(f"`{before}` and `{after}` have no tensor in common", "compare two states of one model")
    if sample is not None and sample < len(names):
        names = [names[i * len(names) // sample] for i in range(sample)]
    for name in names:
        if old[name].shape != new[name].shape:
            raise StageError(
                f"`{name}` is `{list(old[name].shape)}` in `{before}` and `{list(new[name].shape)}` in `{after}`",
                "compare two states of one model",
            )
    return float(torch.tensor([largest_difference(old[name], new[name]) for name in names]).max())


def largest_difference(left: Tensor | StoredTensor, right: Tensor | StoredTensor) -> float:
    """The largest |left - right| over two tensors of the same shape, in float32; NaN when either has a NaN."""
    largest = torch.zeros(())
    for start in range(0, left.numel, BLOCK):
        a, b = torch.empty(2, min(BLOCK, left.numel - start))
        left.read(start, a)
        right.read(start, b)
        # Equal infinities are no difference, though subtracting them gives NaN.
        largest = torch.maximum(largest, torch.where(a == b, 0.0, (a - b).abs()).max())
    return float(largest)


def open_weights(folder: Path) -> dict[str, ShardedTensor] | dict[str, StoredTensor]:
    """Every tensor of a role of a verl checkpoint, or of a Hugging Face model's safetensors."""
    is_role = (folder / "fsdp_config.json").exists() or any(folder.glob(RANK_FILES))
    return open_shards(folder) if is_role else open_stored(folder)
