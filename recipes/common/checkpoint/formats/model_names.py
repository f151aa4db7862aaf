"""Which of a checkpoint's tensors are the model's, and their names in it.

A trainer saves more than the model (the optimizer, averages), and the model under a name of its own (`model.`,
`module.`). The class that the configuration names says which tensors it needs.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from recipes.common.checkpoint.saved_layout import saved_layout
from recipes.common.checkpoint.sharded_tensor import Tensor
from recipes.common.stage.command import StageError

WRAPPERS = ("_fsdp_wrapped_module.", "_orig_mod.", "_checkpoint_wrapped_module.")
"""What torch puts into a name for a module around the module."""
COMPUTED = ("inv_freq", "_extra_state")
"""How the name ends of what older classes saved and newer ones compute."""


def model_tensors(folder: Path, tensors: Mapping[str, Tensor], config: Mapping[str, Any]) -> dict[str, Tensor]:
    """The model's tensors by their names in memory, in the model's order. StageError when one is missing, has another
    shape than in the class, or belongs to the model and has no place in it."""
    if lora := next((name for name in tensors if ".lora_" in name), None):
        raise StageError(
            f"`{folder}`: `{lora}` belongs to a LoRA adapter, which is read from verl's and peft's folders alone",
            "save the adapter with peft's `save_pretrained`",
        )
    architecture = config["architectures"][0]
    layout = saved_layout([architecture], config, {})
    if layout is None:
        raise StageError(
            f"`{folder}`: transformers has no class `{architecture}`, so nobody knows which tensors are the model's",
            "open the checkpoint with the code that it was trained with, and call `save_pretrained`",
        )
    plain = {without_wrappers(name): tensor for name, tensor in tensors.items()}
    prefix = _prefix(folder, layout.state, plain)
    model = {name: plain[prefix + name] for name in layout.state if prefix + name in plain}
    if absent := [name for name in layout.state if name not in model and name not in layout.ties]:
        there = next((name for name in plain if not model or name.startswith(prefix)), "no tensor at all")
        raise StageError(
            f"`{folder}`: `{architecture}` has `{absent[0]}`, which the checkpoint has not "
            f"({len(absent)} are missing); the checkpoint has `{there}`",
            "name the configuration of the model that was trained: `--config FOLDER`",
        )
    if wrong := [name for name, tensor in model.items() if tensor.shape != layout.state[name]]:
        shapes = f"`{list(model[wrong[0]].shape)}`, and `{list(layout.state[wrong[0]])}`"
        raise StageError(
            f"`{folder}`: `{wrong[0]}` is {shapes} by the configuration ({len(wrong)} differ)",
            "name the configuration of the model that was trained: `--config FOLDER`",
        )
    roots = {name.partition(".")[0] for name in layout.state}
    rest = [name.removeprefix(prefix) for name in plain if name.startswith(prefix)]
    strange = [name for name in rest if name not in model and name.partition(".")[0] in roots]
    if strange := [name for name in strange if not name.endswith(COMPUTED)]:
        raise StageError(
            f"`{folder}`: `{architecture}` has no `{strange[0]}`, which the checkpoint has",
            "name the configuration of the model that was trained: `--config FOLDER`",
        )
    return model


def without_wrappers(name: str) -> str:
    for wrapper in WRAPPERS:
        name = name.replace(wrapper, "")
    return name


def _prefix(folder: Path, expected: Iterable[str], names: Mapping[str, Any]) -> str:
    """What precedes the model's names in the checkpoint: what gives most of them. StageError when several models are
    there, each with half of the names or more."""
    expected = list(expected)
    ends = {name: len(name) for name in expected}
    candidates = {""}
    for probe in expected[:1] + expected[-1:]:
        candidates |= {name[: -ends[probe]] for name in names if name.endswith(f".{probe}")}
    counts = {prefix: sum(prefix + name in names for name in expected) for prefix in candidates}
    models = sorted(prefix for prefix, count in counts.items() if 2 * count >= len(expected))
    if len(models) > 1:
        raise StageError(
            f"`{folder}`: several models of this class are there: `{models[0] + expected[0]}` is of one, and "
            f"`{models[1] + expected[0]}` of another",
            "nobody knows which of them you want: save a checkpoint of that one alone",
        )
    return min(candidates, key=lambda prefix: (-counts[prefix], len(prefix)))
