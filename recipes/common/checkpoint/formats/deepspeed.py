"""The float32 weights of a checkpoint of DeepSpeed's ZeRO (stage 1, 2 or 3), without DeepSpeed.

The layouts are those that DeepSpeed 0.19.8 writes and its `utils/zero_to_fp32.py` reads. `*_optim_states.pt` of a rank
has a share of the weights in float32, flattened: with stage 1 and 2 the ranks' shares of a group of parameters make one
vector, in which the parameters lie one after the other; with stage 3 each parameter is cut into a share for each rank.
`*_model_states.pt` says the parameters' order and shapes, and has what was frozen. The files are mapped: nothing is
read before it is written, and nothing in them is executed, which DeepSpeed's own script does not promise.
"""

import math
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from recipes.common.checkpoint.formats.pickles import first_address, load_pickle, mapped_tensor
from recipes.common.checkpoint.sharded_tensor import ShardedTensor, Tensor
from recipes.common.stage.command import StageError

TORN = "the ranks' files do not come from one save: copy them again, or use another checkpoint"


@dataclass(frozen=True)
class Zero:
    """What the files of one step say."""

    folder: Path
    stage: int
    """0 when nothing is cut: the weights are in `models` alone."""
    shapes: list[dict[str, tuple[int, ...]]]
    """Group by group, the trained parameters in their order."""
    paddings: list[list[int]] | None
    """Group by group, the elements that follow each parameter in the vector of its group."""
    groups: list[list[torch.Tensor]]
    """Rank by rank, its share of each group's vector."""
    frozen: dict[str, tuple[int, ...]]
    models: list[dict[str, Any]]
    """Rank by rank where a rank has its own, otherwise one."""


def open_zero(folder: Path) -> dict[str, Tensor]:
    """The weights by their names in the model. StageError when a file is missing, damaged or holds more than DeepSpeed
    writes, or when they do not make the parameters."""
    zero = read_zero(folder, mapped=True)
    with _explained(folder):
        return _tensors(zero)


def _tensors(zero: Zero) -> dict[str, Tensor]:
    folder = zero.folder
    starts = [first_address(vectors) for vectors in zero.groups]
    tensors: dict[str, Tensor] = dict(_plain(zero))
    for name, shape, pieces in _cut(zero):
        placed = [(piece, starts[rank]) for rank, piece in pieces]
        if sum(piece.numel() for piece, _ in placed) != math.prod(shape):
            raise StageError(f"`{folder}`: `{name}` is `{list(shape)}`, and the ranks have less of it", TORN)
        tensors[name] = mapped_tensor(folder, name, shape, placed)
    for name, kept in zero.models[0].get("shared_params", {}).items():
        if kept in tensors:
            tensors[name] = tensors[kept]
    return tensors


def read_zero(folder: Path, mapped: bool) -> Zero:
    """What the files of the step's `folder` say. StageError as `open_zero`."""
    files = [_by_rank(folder, f"*_{kind}_states.pt") for kind in ("model", "optim")]
    for file in (*files[0], *files[1]):
        if "mp_rank_00_" not in file.name or "expp_rank" in file.name:
            raise StageError(
                f"`{folder}`: `{file.name}` is of a run with tensor or expert parallelism, which cannot be read",
                "DeepSpeed's `ds_to_universal.py` puts it together",
            )
    models, optimizers = ([load_pickle(file, mapped, "deepspeed") for file in some] for some in files)
    if not models or not isinstance(models[0], dict) or not isinstance(models[0].get("module"), dict):
        raise StageError(f"`{folder}`: no file of DeepSpeed with a model in it", TORN)
    states = [state.get("optimizer_state_dict") if isinstance(state, dict) else None for state in optimizers]
    if not states or not isinstance(states[0], dict) or "zero_stage" not in states[0]:
        if models[0].get("param_shapes"):  # DeepSpeed lists them where another file has the trained weights
            raise StageError(
                f"`{folder}`: no `*_optim_states.pt` has the trained weights, of which there is a list",
                "each rank wrote its own file: copy the whole folder again, or use another checkpoint",
            )
        return Zero(folder, 0, [], None, [], {}, models)
    if (ranks := [_rank(file) for file in files[1]]) != list(range(len(ranks))):
        raise StageError(f"`{folder}`: the `*_optim_states.pt` there are of the ranks {ranks}", TORN)
    with _explained(folder):
        return _of_ranks(folder, models, states)


def _of_ranks(folder: Path, models: list[dict[str, Any]], states: list[dict[str, Any]]) -> Zero:
    """What the files say of weights that were cut, `states` being the optimizer's. Raises whatever damage leads to."""
    stage = _number(states[0]["zero_stage"])
    counts = states[0]["partition_count"]
    world = max(counts) if isinstance(counts, list) else counts
    if world != len(states):
        raise StageError(f"`{folder}`: {world} ranks wrote the checkpoint, {len(states)} files are there", TORN)
    key = "fp32_flat_groups" if stage == 3 else "single_partition_of_fp32_groups"
    groups = [[vector.detach() for vector in state[key]] for state in states]
    if any([len(vector) for vector in vectors] != [len(vector) for vector in groups[0]] for vectors in groups):
        raise StageError(f"`{folder}`: the ranks' shares differ in size", TORN)
    if stage == 3 and world != len(models):
        raise StageError(f"`{folder}`: {world} ranks wrote it, {len(models)} `*_model_states.pt` are there", TORN)
    shapes = [{name: tuple(shape) for name, shape in group.items()} for group in models[0]["param_shapes"]]
    paddings = states[0].get("param_alignment_paddings")
    lengths = [len(shapes), len(paddings) if stage < 3 and paddings else len(shapes)]
    if stage < 3 and lengths != [len(groups[0])] * 2:
        raise ValueError(f"{len(groups[0])} groups of weights, and {lengths[0]} of shapes")
    frozen = {name: tuple(shape) for name, shape in (models[0].get("frozen_param_shapes") or {}).items()}
    return Zero(folder, stage, shapes, paddings, groups, frozen, models)


def whole_weights(folder: Path) -> dict[str, torch.Tensor]:
    """As `open_zero` in memory, put together with torch's own means: for whoever compares."""
    zero = read_zero(folder, mapped=False)
    whole = {name: value for name, value in zero.models[0]["module"].items() if isinstance(value, torch.Tensor)}
    if zero.stage == 3:
        whole = {name: value for name, value in whole.items() if name in zero.models[0]["buffer_names"]}
        for name, shape in zero.frozen.items():
            shares = torch.cat([model["frozen_param_fragments"][name] for model in zero.models])
            whole[name] = shares[: math.prod(shape)].view(shape)
        shapes = {name: shape for group in zero.shapes for name, shape in group.items()}
        sizes = [math.ceil(math.prod(shape) / len(zero.groups)) for shape in shapes.values()]
        shares = torch.stack([torch.cat(vectors) for vectors in zero.groups])
        for (name, shape), share in zip(shapes.items(), shares.split(sizes, 1), strict=True):
            whole[name] = share.flatten()[: math.prod(shape)].view(shape)
    elif zero.stage:
        for at, group in enumerate(zero.shapes):
            vector = torch.cat([vectors[at] for vectors in zero.groups])
            gaps = zero.paddings[at] if zero.paddings else [0] * len(group)
            for (name, shape), gap in zip(group.items(), gaps, strict=True):
                whole[name] = vector[: math.prod(shape)].view(shape)
                vector = vector[math.prod(shape) + gap :]
    for name, kept in zero.models[0].get("shared_params", {}).items():
        whole[name] = whole[kept]
    return whole


def _cut(zero: Zero) -> Iterator[tuple[str, tuple[int, ...], list[tuple[int, torch.Tensor]]]]:
    """The trained parameters with their shapes, and their pieces in order, each with its rank."""
    world, at = len(zero.groups), 0
    for number, group in enumerate(zero.shapes):
        if zero.stage < 3:
            at = 0
        for index, (name, shape) in enumerate(group.items()):
            size = math.prod(shape)
            if zero.stage == 3:
                share, pieces = math.ceil(size / world), []
                for rank, vectors in enumerate(zero.groups):
                    held = max(0, min(share, size - rank * share))
                    pieces += [(rank, piece) for _, piece in _stretch(vectors, at, held)]
                at += share
            else:
                pieces = list(_stretch([vectors[number] for vectors in zero.groups], at, size))
                at += size + (zero.paddings[number][index] if zero.paddings else 0)
            yield name, shape, pieces


def _stretch(vectors: Sequence[torch.Tensor], start: int, count: int) -> Iterator[tuple[int, torch.Tensor]]:
    """The elements from `start` on, `count` of them, of vectors that lie one after the other: pieces, each with its
    vector's number."""
    for number, vector in enumerate(vectors):
        if count and start < len(vector):
            piece = vector[start : start + count]
            yield number, piece
            count -= len(piece)
            start = 0
        else:
            start -= len(vector) if count else 0


def _plain(zero: Zero) -> Iterator[tuple[str, ShardedTensor]]:
    """What was not trained, and with stage 0 all: it lies in the files of the model."""
    start = [first_address(list(_values(model))) for model in zero.models]
    module = zero.models[0]["module"]
    for name in zero.models[0]["buffer_names"] if zero.stage else module:
        if isinstance(value := module.get(name), torch.Tensor):
            yield name, mapped_tensor(zero.folder, name, tuple(value.shape), [(value, start[0])])
    for name, shape in zero.frozen.items():
        pieces, left = [], math.prod(shape)
        for model, first in zip(zero.models if zero.stage == 3 else zero.models[:1], start, strict=False):
            piece = model["frozen_param_fragments"][name].view(-1)[:left]
            pieces.append((piece, first))
            left -= len(piece)
        if left:
            raise StageError(f"`{zero.folder}`: `{name}` is `{list(shape)}`, and the files have less of it", TORN)
        yield name, mapped_tensor(zero.folder, name, shape, pieces)


def _values(model: dict[str, Any]) -> Iterator[torch.Tensor]:
    for values in (model["module"], model.get("frozen_param_fragments") or {}):
        yield from (value for value in values.values() if isinstance(value, torch.Tensor))


def _by_rank(folder: Path, pattern: str) -> list[Path]:
    """The files in the order of their ranks' numbers."""
    return sorted(folder.glob(pattern), key=lambda path: [int(digits) for digits in re.findall(r"\d+", path.name)])


def _rank(file: Path) -> int | None:
    rank = re.search(r"zero_pp_rank_(\d+)_", file.name, re.ASCII)
    return int(rank[1]) if rank else None


@contextmanager
def _explained(folder: Path) -> Iterator[None]:
    """StageError for whatever files lead to that DeepSpeed does not write."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, RuntimeError) as problem:
        what = f"`{problem.args[0]}` is missing" if isinstance(problem, KeyError) else str(problem)
        raise StageError(f"`{folder}`: not what DeepSpeed writes: {what}", TORN) from problem


def _number(value: Any) -> int:
    """The number that a pickled enumeration of DeepSpeed stands for."""
    return int(value if isinstance(value, int) else value.args[0])
