"""An export beside its checkpoint, which is read here by other means than the converter's.

verl's rank files and DeepSpeed's are put together by `torch.cat`, pieces of torch's DCP one by one, and the files of
`save_pretrained` by the safetensors library and by torch.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from recipes.common.checkpoint.formats import deepspeed, hf_folder
from recipes.common.checkpoint.formats.adapter import NAMES, open_adapter_source, write_adapter
from recipes.common.checkpoint.formats.kind import Kind, checkpoint_kind, dcp_folder, deepspeed_folder, weight_files
from recipes.common.checkpoint.formats.model_names import model_tensors
from recipes.common.checkpoint.formats.source import Source, open_source, trained_config
from recipes.common.checkpoint.lora import PREFIX, open_adapter
from recipes.common.checkpoint.lora_check import check
from recipes.common.checkpoint.opened_model import AGAIN, demand_equal_state, demand_same_weights
from recipes.common.checkpoint.weights_folder import index_fault
from recipes.common.stage.command import Mistake, StageError
from recipes.common.stage.files import read_json


def demand_same_source(export: Path, model: Any, source: Source) -> None:
    """Each tensor of the opened model is the checkpoint's; of a Hugging Face folder, each tensor in the export's files.
    StageError otherwise."""
    if source.kind is Kind.VERL:
        demand_same_weights(export, model, source.folder)
    elif source.kind is Kind.HUGGING_FACE:
        written = hf_folder.whole_weights(weight_files(export))
        _demand_same(export, written, hf_folder.whole_weights(weight_files(source.folder)))
    else:
        tensors = model_tensors(source.folder, open_source(source), trained_config(source))
        names = {name: tensor.name for name, tensor in tensors.items()}
        if source.kind is Kind.DCP and (place := dcp_folder(source.folder)):
            from recipes.common.checkpoint.formats import dcp  # torch's reader is large

            metadata = dcp.read_metadata(place)
            demand_equal_state(export, model, names, lambda name: dcp.whole_tensor(place, metadata, name))
        elif place := deepspeed_folder(source.folder):
            weights = deepspeed.whole_weights(place)
            demand_equal_state(export, model, names, weights.__getitem__)


def verify_adapter(export: Path, checkpoint: Path) -> dict[str, Any]:
    """The numbers of an exported adapter that has the checkpoint's tensors and settings; StageError for another."""
    source = open_adapter_source(checkpoint, checkpoint_kind(checkpoint))
    if source is None:
        raise Mistake(f"`{checkpoint}`: no adapter", "name the checkpoint that the adapter was made from")
    written = hf_folder.whole_weights([export / NAMES[0]])
    if source.kind is Kind.VERL:
        trained = {name: _plain(tensor) for name, tensor in source.tensors.items()}
    else:
        trained = hf_folder.whole_weights([next(path for name in NAMES if (path := checkpoint / name).is_file())])
    if odd := sorted(written.keys() ^ trained.keys()):
        raise StageError(f"`{export}`: only one of adapter and checkpoint has `{odd[0]}`", AGAIN)
    _demand_same(export, written, trained)
    if read_json(export / "adapter_config.json") != source.config:
        raise StageError(f"`{export}/adapter_config.json`: not the checkpoint's settings", AGAIN)
    return {"tensors": len(written), "parameters": sum(value.numel() for value in written.values())}


def verify_merged(export: Path, checkpoint: Path, base: Path) -> dict[str, Any]:
    """The numbers of a model that computes what the base and the checkpoint's adapter compute together, by peft;
    StageError for another."""
    import tempfile

    source = open_adapter_source(checkpoint, checkpoint_kind(checkpoint))
    if source is None:
        raise Mistake(f"`{checkpoint}`: no adapter", "leave out `--merge`")
    with tempfile.TemporaryDirectory() as folder:
        adapter = Path(folder, "adapter")
        write_adapter(source, adapter, None, lambda *_: None)
        if fault := index_fault(export):
            raise StageError(f"`{export}`: {fault}", AGAIN)
        written = hf_folder.whole_weights(weight_files(export))
        _demand_merged(export, written, hf_folder.whole_weights(weight_files(base)), adapter)
        difference = check(base, adapter, export, "cpu")
    return {
        "tensors": len(written),
        "parameters": sum(value.numel() for value in written.values()),
        "logits_difference": difference.largest,
        "same_token": difference.same_token,
    }


def _demand_merged(
    export: Path, written: Mapping[str, torch.Tensor], base: Mapping[str, torch.Tensor], adapter: Path
) -> None:
    """Each tensor of the export is the base's plus scale * B A, computed here in float64, up to one unit in the last
    place of its type and what float32 loses in the sum. StageError otherwise."""
    factors = hf_folder.whole_weights([adapter / NAMES[0]])
    scale = open_adapter(adapter).scale
    if odd := sorted(name for name in written.keys() ^ base.keys() if not _repeats(name, base, written)):
        raise StageError(f"`{export}`: only one of the base and the export has `{odd[0]}`", AGAIN)
    for name, value in written.items():
        module = f"{PREFIX}{name.removesuffix('.weight')}"
        a, b = (factors.get(f"{module}.lora_{factor}.weight") for factor in "AB")
        expected, noise = base[name].double(), torch.zeros(())
        if a is not None and b is not None:
            change = (b.double().abs() @ a.double().abs()).mul_(abs(scale))
            noise = change.add_(expected.abs()).mul_(len(a) * torch.finfo(torch.float32).eps)
            expected = expected + scale * (b.double() @ a.double())
        if value.shape != expected.shape:
            raise StageError(f"`{export}`: its `{name}` has another shape than the base's", AGAIN)
        unit = torch.finfo(value.dtype) if value.is_floating_point() else None
        allowed = noise + expected.abs() * unit.eps + unit.smallest_normal * unit.eps if unit else noise
        far = (value.double() - expected).abs()
        if not bool((far <= allowed).all()):  # NaN too
            raise StageError(
                f"`{export}`: its `{name}` is not the base's with the adapter: values differ by up to "
                f"{float(far.max()):g}",
                AGAIN,
            )


def _repeats(name: str, base: Mapping[str, torch.Tensor], written: Mapping[str, torch.Tensor]) -> bool:
    """Whether the base has the tensor twice, and the export once under its other name."""
    value = base.get(name)
    return value is not None and any(
        other in written and value.shape == its.shape and torch.equal(value, its) for other, its in base.items()
    )


def _plain(tensor: Any) -> torch.Tensor:
    return tensor.full()  # type: ignore[no-any-return]


def _demand_same(export: Path, written: Mapping[str, torch.Tensor], trained: Mapping[str, torch.Tensor]) -> None:
    for name, value in written.items():
        expected = trained.get(name)
        if expected is None:
            raise StageError(f"`{export}`: it has `{name}`, which the checkpoint has not", AGAIN)
        if expected.shape != value.shape or not torch.equal(value, expected.to(value.dtype)):
            raise StageError(f"`{export}`: its `{name}` is not the checkpoint's", AGAIN)
