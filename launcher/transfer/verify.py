"""Checks of a pulled export: its files are those of the manifest, and a program can load the model."""

import json
from math import prod
from pathlib import Path
from typing import Any

from launcher.errors import FAILED, LaunchError
from launcher.runfolder.files import read_json, sha256
from launcher.runfolder.manifest import defect
from launcher.runfolder.paths import RunFolder

BYTES = {"F64": 8, "I64": 8, "U64": 8, "F32": 4, "I32": 4, "U32": 4, "F16": 2, "BF16": 2, "I16": 2, "U16": 2}
"""Bytes of an element by safetensors' name of its type; other types have one (github.com/huggingface/safetensors)."""
LONGEST = 100 << 20
"""safetensors' own limit of a header."""
DIMENSIONS = 64
"""More than any tensor has."""
WEIGHTS, INDEX = "model.safetensors", ".safetensors.index.json"
OTHER_WEIGHTS = ("pytorch_model*.bin", "adapter_model*.bin")
"""Files that a reader may open in place of safetensors."""
KINDS = ("model_type", "architectures", "peft_type")
"""Keys of a configuration, one of which says what the model is."""
LANGUAGE_MODELS = ("ForCausalLM", "ForConditionalGeneration")
TOKENIZERS = ("tokenizer.*", "*.model", "vocab.*", "*.tiktoken", "tekken.json")
"""Files one of which every tokenizer of transformers has."""


def faults(local: RunFolder, every_byte: bool) -> list[str]:
    """A sentence for each file of `local/export` that differs from the manifest."""
    sentences = []
    for name, facts in read_manifest(local)["export"].items():
        path = local.export / name
        if not path.is_file():
            sentences.append(f"`{path}` is gone")
        elif path.stat().st_size != facts["bytes"]:
            sentences.append(f"`{path}` has {path.stat().st_size:,} bytes, the manifest says {facts['bytes']:,}")
        elif every_byte and sha256(path) != facts["sha256"]:
            sentences.append(f"`{path}` was changed: its sha256 is not the manifest's")
    return sentences


def read_manifest(folder: RunFolder) -> dict[str, Any]:
    """The folder's manifest. Raises LaunchError if the run is not finished, or if the manifest is not valid."""
    manifest = read_json(folder.manifest)
    if not isinstance(manifest, dict):
        raise LaunchError(
            f"`{folder.path}` has no manifest: the run is not finished", "`launcher status` shows how far it is"
        )
    if why := defect(manifest):
        raise LaunchError(
            f"`{folder.manifest}`: {why}", "nothing was copied: do not trust the machine that wrote it", FAILED
        )
    return manifest


def demand_own_weights(local: RunFolder, manifest: dict[str, Any]) -> None:
    """Raises LaunchError, exit code 3, for a file in the pulled export that is not the run's, and that a reader could
    take for its weights. The stage that made the export is not to blame for it."""
    for pattern in (*OTHER_WEIGHTS, "*.safetensors", f"*{INDEX}"):
        for path in sorted(local.export.rglob(pattern)):
            if path.relative_to(local.export).as_posix() not in manifest["export"]:
                raise LaunchError(
                    f"`{path}` is not part of the export, and a reader may take it for the weights",
                    "somebody has put it there since: move it to another folder",
                    FAILED,
                )


def check_model(export: Path) -> dict[str, int]:
    """How many tensors and parameters the export has. Raises LaunchError, exit code 3, for a file that no program could
    load, and for one that a reader would miss or take for another. An export without weights (a report, a data set) is
    no model, and has none."""
    files = sorted(export.rglob("*.safetensors"))
    tensors: dict[str, int] = {}
    for path in files:
        for name, size in _header(path).items():
            tensors[f"{path.parent.relative_to(export)}/{name}"] = size
    for index in export.rglob("*.safetensors.index.json"):
        _indexed(index, tensors, export)
    for folder in sorted({path.parent for path in files}):
        _described(folder)
        _readable(folder)
    for path in export.rglob("tokenizer*.json"):
        _json(path)
    return {"tensors": len(tensors), "parameters": sum(tensors.values())}


def _header(path: Path) -> dict[str, int]:
    """Tensor -> number of elements. Raises LaunchError if the header does not fit the file."""
    size = path.stat().st_size
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little") if size >= 8 else size + 1
        if length > min(size - 8, LONGEST):
            raise _broken(path, "its header is longer than the file")
        try:
            header: dict[str, Any] = json.loads(file.read(length))
            header.pop("__metadata__", None)
            ends = [8 + length + facts["data_offsets"][1] for facts in header.values()]
            for name, facts in header.items():
                begin, end = facts["data_offsets"]
                counts = (*facts["shape"], begin, end)
                if len(counts) > DIMENSIONS or not all(type(count) is int and 0 <= count < 1 << 63 for count in counts):
                    raise ValueError
                if end - begin != prod(facts["shape"]) * BYTES.get(facts["dtype"], 1):
                    raise _broken(path, f"`{name}` has {end - begin:,} bytes, its shape needs another number")
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise _broken(path, "its header cannot be read") from None
    if max(ends, default=size) != size:
        raise _broken(path, f"it has {size:,} bytes, its header says {max(ends):,}")
    return {name: prod(facts["shape"]) for name, facts in header.items()}


def _indexed(index: Path, tensors: dict[str, int], export: Path) -> None:
    folder = index.parent.relative_to(export)
    files = _json(index).get("weight_map") or {}
    if not isinstance(files, dict):
        raise _broken(index, "its `weight_map` is not a table")
    for name, file in files.items():
        if not (index.parent / str(file)).is_file() and f"{folder}/{name}" in tensors:
            raise _broken(index, f"it names `{file}`, which does not exist")
        if f"{folder}/{name}" not in tensors:
            raise _broken(index, f"`{name}` should be in `{file}`, and is in no file")


def _described(folder: Path) -> None:
    names = ("config.json", "adapter_config.json")
    paths = [folder / name for name in names if (folder / name).exists()]
    if not paths:
        raise _broken(folder / names[0], "it does not exist")
    for path in paths:
        if not any(key in _json(path) for key in KINDS):
            raise _broken(path, f"it has none of {', '.join(f'`{key}`' for key in KINDS)}, so nobody knows the model")


def _readable(folder: Path) -> None:
    """Every weight file is one that a reader of the folder reads, and a language model has a tokenizer."""
    for pattern in OTHER_WEIGHTS:
        for path in sorted(folder.glob(pattern)):
            raise _broken(path, "it lies beside safetensors files, and a reader may take it for the weights")
    others = sorted(path.name for path in folder.glob("*.safetensors") if not path.name.startswith("adapter_model"))
    index = folder / f"model{INDEX}"
    if WEIGHTS in others and len(others) > 1:
        raise _broken(folder / next(name for name in others if name != WEIGHTS), f"nobody reads it beside `{WEIGHTS}`")
    if others and WEIGHTS not in others and not index.exists():
        raise _broken(folder / others[0], f"nobody reads it without `{index.name}`")
    named = (_json(index).get("weight_map") or {}).values() if index.exists() else others
    if unnamed := [name for name in others if name not in named]:
        raise _broken(folder / unnamed[0], f"nobody reads it: it is not in `{index.name}`")
    written = _json(folder / "config.json").get("architectures") if (folder / "config.json").exists() else None
    classes = [name for name in written if str(name).endswith(LANGUAGE_MODELS)] if isinstance(written, list) else []
    if classes and not any(any(folder.glob(pattern)) for pattern in TOKENIZERS):
        raise _broken(folder / "tokenizer.json", f"it does not exist, and `{classes[0]}` needs a tokenizer")


def _json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        raise _broken(path, "it cannot be read") from None
    if not isinstance(value, dict):
        raise _broken(path, "it is not a table")
    return value


def _broken(path: Path, why: str) -> LaunchError:
    return LaunchError(f"`{path}` is damaged: {why}", "`--redo` the stage that exports it", FAILED)
