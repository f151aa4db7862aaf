"""The names and shapes that `save_pretrained` gives a model's tensors on disk.

transformers 5 renames tensors and fuses experts when it opens a model, and takes that back when it saves one. Here its
own way back (`revert_weight_conversion` in transformers/core_model_loading.py, 5.9) runs on tensors of the right shapes
without data. A result that still lies in the storage of one tensor is a stretch of that tensor: its storage offset says
where it begins. So nothing is read to know the layout, and each tensor is read once to write it.
"""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from recipes.common.checkpoint.sharded_tensor import Sharded, Stretch
from recipes.common.stage.command import StageError


def model_without_weights(config: Mapping[str, Any]) -> Any | None:
    """The first of `architectures`, its tensors on torch's device `meta`; None for a class that transformers does not
    have, such as one with code of its own. StageError when the configuration does not fit the class."""
    import transformers

    architecture = next(iter(config.get("architectures") or ()), "")
    kind = getattr(transformers, architecture, None)
    if not (isinstance(kind, type) and issubclass(kind, transformers.PreTrainedModel)):
        return None
    level = transformers.logging.get_verbosity()
    transformers.logging.set_verbosity_error()  # a class warns of kernels that only a training needs
    try:
        values = {name: value for name, value in config.items() if name != "attn_implementation"}
        with torch.device("meta"):
            return kind(kind.config_class.from_dict(values))
    except Exception as problem:  # whatever the class trips over
        raise StageError(
            f"`config.json`: transformers cannot make a `{architecture}` of it: {_line(problem)}",
            "use the configuration that was saved with this checkpoint",
        ) from problem
    finally:
        transformers.logging.set_verbosity(level)


def saved_layout(tensors: Mapping[str, Sharded], config: Mapping[str, Any]) -> dict[str, Sharded | Stretch]:
    """The tensors under the names and in the shapes of `save_pretrained`, in its order. `config`: the exported model's.

    StageError for a class whose conversion has no way back, or whose way back has to compute."""
    model = model_without_weights(config)
    if model is None:
        return dict(tensors)
    from transformers.core_model_loading import revert_weight_conversion

    blanks = {
        name: torch.empty(tensor.shape, dtype=tensor.dtype, device="meta")
        for name, tensor in tensors.items()
        if name not in (model._keys_to_ignore_on_save or ())
    }
    sources = {_storage(blank): tensors[name] for name, blank in blanks.items()}
    try:
        with _WithoutCopies():
            saved = revert_weight_conversion(model, dict(blanks))
    except Exception as problem:  # an operation without a way back, or shapes that do not fit it
        raise _refusal(config, _line(problem)) from problem
    layout = {name: _stretch(name, value, sources.get(_storage(value)), config) for name, value in saved.items()}
    if sum(tensor.numel for tensor in layout.values()) != sum(blank.numel() for blank in blanks.values()):
        raise _refusal(config, "it does not keep every element")
    return layout


class _WithoutCopies(TorchDispatchMode):
    """A tensor that would be copied stays a view of where it came from."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return args[0] if func is torch.ops.aten.clone.default else func(*args, **(kwargs or {}))


def _stretch(name: str, value: torch.Tensor, source: Sharded | None, config: Mapping[str, Any]) -> Sharded | Stretch:
    if source is None or not value.is_contiguous():
        raise _refusal(config, f"`{name}` is not a stretch of one tensor")
    shape, start = tuple(value.shape), value.storage_offset()
    if shape == source.shape:
        return source
    if start + math.prod(shape) > source.numel:
        raise _refusal(config, f"`{name}` reaches beyond `{source.name}`")
    return Stretch(name, source, start, shape)


def _storage(tensor: torch.Tensor) -> int:
    """What tensors that share memory have in common; on `meta` there are no addresses."""
    return tensor.untyped_storage()._cdata


def _refusal(config: Mapping[str, Any], why: str) -> StageError:
    return StageError(
        f"`{config['architectures'][0]}`: what `save_pretrained` writes of it cannot be made from a checkpoint: {why}",
        "open the checkpoint with transformers and call `save_pretrained`: `python -m verl.model_merger merge` does",
    )


def _line(problem: BaseException) -> str:
    return " ".join(str(problem).split())[:200] or type(problem).__name__
