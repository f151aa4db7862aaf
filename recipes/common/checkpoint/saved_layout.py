"""The names and shapes that `save_pretrained` gives a model's tensors on disk.

transformers 5 renames tensors and fuses experts when it opens a model, and takes that back when it saves one. Here its
own way back (`revert_weight_conversion` in transformers/core_model_loading.py, 5.9) runs on tensors of the right shapes
without data. A result that still lies in the storage of one tensor is a slice of that tensor: its storage offset says
where it begins. So nothing is read to know the layout, and each tensor is read once to write it.
"""

import json
import math
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from recipes.common.checkpoint.sharded_tensor import Tensor, TensorSlice
from recipes.common.stage.command import StageError

Shape = tuple[int, ...]

HEAD = "lm_head.weight", "model.embed_tokens.weight"
AS_IN_MEMORY = {
    **dict.fromkeys((f"{name}ForCausalLM" for name in ("Llama", "Mistral", "Qwen2", "Qwen3", "Gemma", "Gemma2")), HEAD),
    **dict.fromkeys((f"{name}ForCausalLM" for name in ("Gemma3", "Phi3", "StableLm", "Glm4", "Olmo2", "GptOss")), HEAD),
    "GPTNeoXForCausalLM": ("embed_out.weight", "gpt_neox.embed_in.weight"),
}
"""Classes whose tensors are saved as they are in memory -> the tensor that is not saved where the embeddings are tied,
and the one that it repeats. To ask transformers takes longer than to convert a small model, and more memory; a test
asks it for each of them."""
ASKED = "5.9.0"
"""The version of transformers that was asked."""


@dataclass(frozen=True)
class Layout:
    """How a class of transformers saves tensors."""

    ties: Mapping[str, str]
    """Name in memory of a tensor that is not saved -> name of the one that it repeats."""
    tensors: Mapping[str, tuple[str, int, Shape]]
    """Name on disk -> name in memory, element of it with which the saved tensor begins, and shape."""
    state: Mapping[str, Shape]
    """Name in memory -> shape, of all that the class keeps in its state, whatever was asked about."""


def known_layout(architecture: str, config: Mapping[str, Any], shapes: Mapping[str, Shape]) -> Layout | None:
    """The layout of tensors with these `shapes` of a class that is saved as it is in memory; None of any other class,
    or under a version of transformers that was not asked."""
    tied = config.get("tie_word_embeddings")
    if architecture not in AS_IN_MEMORY or not isinstance(tied, bool) or metadata.version("transformers") != ASKED:
        return None
    ties = dict([AS_IN_MEMORY[architecture]]) if tied else {}
    return Layout(ties, {name: (name, 0, shape) for name, shape in shapes.items()}, shapes)


def saved_layout(architectures: Sequence[str], config: Mapping[str, Any], shapes: Mapping[str, Shape]) -> Layout | None:
    """The layout of the tensors with these `shapes`, by the first of the `architectures` that transformers has; None
    when it has none of them: such a model has code of its own, and is saved as it is.

    StageError for a class whose conversion has no way back, or that has to compute there. Another process looks it up,
    unless transformers' models are in this one already: they take more memory than a whole conversion."""
    question = {"architectures": list(architectures), "config": dict(config), "shapes": dict(shapes)}
    if "transformers.modeling_utils" in sys.modules:
        layout = _layout(**question)
    else:
        layout = _ask_another_process(question)
    if isinstance(layout, str):
        raise StageError(
            f"`{architectures[0]}`: what `save_pretrained` writes of it cannot be made from a checkpoint: {layout}",
            "`python -m verl.model_merger merge` opens the checkpoint with transformers and saves it",
        )
    return layout


def arranged(tensors: Mapping[str, Tensor], layout: Layout) -> dict[str, Tensor]:
    """The tensors as they are saved, in the order of the layout; those that it does not save are left out."""
    saved: dict[str, Tensor] = {}
    for name, (source, start, shape) in layout.tensors.items():
        if source in tensors:
            whole = tensors[source]
            saved[name] = whole if shape == whole.shape else TensorSlice(name, whole, start, shape)
    return saved


def model_without_weights(architectures: Sequence[str], config: Mapping[str, Any]) -> Any | None:
    """The first of the `architectures` that transformers has, its tensors on torch's device `meta`. Raises whatever the
    class trips over when the configuration does not fit it."""
    import transformers

    transformers.logging.set_verbosity_error()  # a class warns of kernels that only a training needs
    classes = [getattr(transformers, name, None) for name in architectures]
    known = [kind for kind in classes if isinstance(kind, type) and issubclass(kind, transformers.PreTrainedModel)]
    if not known:
        return None
    kind = known[0]
    with torch.device("meta"):
        return kind(configuration(kind.config_class, config))


def configuration(kind: Any, config: Mapping[str, Any]) -> Any:
    """A configuration of the class `kind`, as `from_pretrained` reads it from a file: infinite numbers are written as
    words there. The attention kernel of the training is left out: this machine may not have it."""
    values = {name: value for name, value in config.items() if name != "attn_implementation"}
    return kind.from_dict(kind._decode_special_floats(values))


def _ask_another_process(question: Mapping[str, Any]) -> Layout | str | None:
    """It reads the question from its standard input, and ends by itself whatever happens to this process."""
    root = str(Path(__file__).parents[3])
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))}
    command = [sys.executable, "-m", "recipes.common.checkpoint.saved_layout"]
    done = subprocess.run(command, input=json.dumps(question), env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip() or f"it was ended by signal {-done.returncode}").splitlines()[-1]
        raise StageError(
            f"transformers' classes could not be opened: {last[:200]}",
            "run it where transformers can be imported, with 1 GB of free memory",
        )
    answer = json.loads(done.stdout)
    if not isinstance(answer, dict):
        return answer  # type: ignore[no-any-return]
    tensors = {name: (source, start, tuple(shape)) for name, (source, start, shape) in answer["tensors"].items()}
    return Layout(answer["ties"], tensors, {name: tuple(shape) for name, shape in answer["state"].items()})


def _layout(architectures: list[str], config: dict[str, Any], shapes: dict[str, Shape]) -> Layout | str | None:
    """As `saved_layout`; of a class that cannot be reversed, the reason."""
    try:
        model = model_without_weights(architectures, config)
        return None if model is None else _reversed(model, shapes)
    except Exception as problem:  # whatever the class or an operation trips over
        return " ".join(str(problem).split())[:200] or type(problem).__name__


def _reversed(model: Any, shapes: Mapping[str, Shape]) -> Layout:
    """Raises ValueError when the way back is more than cutting and renaming."""
    from transformers.core_model_loading import revert_weight_conversion

    ignored = model._keys_to_ignore_on_save or ()
    blanks = {name: torch.empty(shape, device="meta") for name, shape in shapes.items() if name not in ignored}
    names = {_storage(blank): name for name, blank in blanks.items()}
    with _WithoutCopies():
        saved = revert_weight_conversion(model, dict(blanks))
    tensors = {}
    for name, value in saved.items():
        source = names.get(_storage(value))
        start, shape = int(value.storage_offset()), tuple(value.shape)
        if source is None or not value.is_contiguous() or start + math.prod(shape) > blanks[source].numel():
            raise ValueError(f"`{name}` is not a slice of one tensor")
        tensors[name] = source, start, shape
    if sum(value.numel() for value in saved.values()) != sum(blank.numel() for blank in blanks.values()):
        raise ValueError("it does not keep every element")
    kept = {name: tuple(value.shape) for name, value in model.state_dict().items() if name not in ignored}
    return Layout(dict(model.get_expanded_tied_weights_keys(all_submodels=True)), tensors, kept)


class _WithoutCopies(TorchDispatchMode):
    """A tensor that would be copied stays a view of where it came from."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return args[0] if func is torch.ops.aten.clone.default else func(*args, **(kwargs or {}))


def _storage(tensor: torch.Tensor) -> int:
    """What tensors that share memory have in common; on `meta` there are no addresses."""
    return tensor.untyped_storage()._cdata


def main() -> None:
    sys.modules["sklearn"] = None  # type: ignore[assignment]  # transformers imports it, most of a second, to sample text
    layout = _layout(**json.load(sys.stdin))
    print(json.dumps(asdict(layout) if isinstance(layout, Layout) else layout))


if __name__ == "__main__":
    main()
