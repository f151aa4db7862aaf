"""What kind of checkpoint a folder is, seen by the names of its files; nothing in it is opened."""

import re
from enum import Enum
from pathlib import Path

from recipes.common.checkpoint.weights_folder import files_of_index
from recipes.common.stage.command import Mistake
from recipes.common.stage.files import read_json


class Kind(Enum):
    """The kinds that can be converted."""

    VERL = "one role of a verl FSDP checkpoint"
    DCP = "a checkpoint of torch.distributed.checkpoint"
    DEEPSPEED = "a DeepSpeed ZeRO checkpoint"
    HUGGING_FACE = "a Hugging Face model"
    ADAPTER = "a PEFT adapter"


INDEXES = ("model.safetensors.index.json", "pytorch_model.bin.index.json")
KNOWN = "verl FSDP, torch DCP, DeepSpeed ZeRO, Hugging Face, PEFT"
INSIDE = ("*", "*/*", "*/*/*")
"""Where a checkpoint may lie below a folder that is none itself."""
MOST_FOLDERS = 1000
"""That are looked at below a folder."""


def checkpoint_kind(folder: Path) -> Kind:
    """The kind of the checkpoint `folder`. Mistake when it is none that can be converted: it says what it is, and the
    tool that converts it, or which folder was probably meant."""
    if not folder.is_dir():
        raise _not_a_folder(folder)
    if (other := _other_trainer(folder)) is not None:
        raise Mistake(f"`{folder}`: {other[0]}, which is not converted here", other[1])
    if (kind := _kind(folder)) is not None:
        return kind
    if list(folder.glob("*.distcp")):
        raise Mistake(
            f"`{folder}`: `.metadata` is missing beside the `.distcp` files of torch.distributed.checkpoint",
            "it is written last, by the first rank: copy the whole folder, or use an earlier checkpoint",
        )
    if inside := _checkpoint_inside(folder):
        raise Mistake(f"`{folder}`: a checkpoint lies below it, not in it", f"did you mean `{inside}`?")
    raise Mistake(
        f"`{folder}`: no checkpoint of a kind that is converted here: {KNOWN}",
        "give the folder of one checkpoint, such as `global_step_100/actor` or `checkpoint-500`",
    )


def dcp_folder(folder: Path) -> Path | None:
    """Where the checkpoint's torch DCP files are: in `folder`, or where accelerate puts them below it; None when there
    are none."""
    places = [folder, *sorted(folder.glob("pytorch_model_fsdp_*"))]
    return next((place for place in places if (place / ".metadata").is_file()), None)


def deepspeed_folder(folder: Path) -> Path | None:
    """Where the ranks' files of DeepSpeed are: in `folder`, or in the folder below it that `latest` names; None when
    there are none."""
    if any(folder.glob("*_optim_states.pt")):
        return folder
    latest = folder / "latest"
    if latest.is_file():
        named = folder / latest.read_text(errors="replace").strip()
        return named if named.is_dir() and named.parent == folder and any(named.glob("*_model_states.pt")) else None
    steps = [path for path in folder.glob("global_step*") if any(path.glob("*_model_states.pt"))]
    return max(steps, key=lambda path: _number(path.name), default=None)


def weight_files(folder: Path) -> list[Path]:
    """The files with the weights that Hugging Face's `from_pretrained` would read: safetensors before pickles."""
    for whole, index in (("model.safetensors", INDEXES[0]), ("pytorch_model.bin", INDEXES[1])):
        if (folder / whole).is_file():
            return [folder / whole]
        if named := files_of_index(folder / index):
            return [folder / name for name in sorted(named)]
    return sorted(folder.glob("model*.safetensors")) or sorted(folder.glob("pytorch_model*.bin"))


def _kind(folder: Path) -> Kind | None:
    if (folder / "fsdp_config.json").exists() or any(folder.glob("model_world_size_*_rank_*.pt")):
        return Kind.VERL
    if (folder / "adapter_config.json").is_file():
        return Kind.ADAPTER
    if weight_files(folder):
        return Kind.HUGGING_FACE
    if deepspeed_folder(folder):
        return Kind.DEEPSPEED
    if dcp_folder(folder):
        return Kind.DCP
    return None


def _other_trainer(folder: Path) -> tuple[str, str] | None:
    """What a folder is that is not converted here, and the tool that converts it."""
    if (folder / "dist_ckpt").is_dir() or (folder / "transformer_config.json").is_file():
        merger = f"python -m verl.model_merger merge --backend megatron --local_dir {folder} --target_dir OUT"
        return "one role of a verl checkpoint by Megatron", f"`{merger}` converts it"
    metadata = read_json(folder / "metadata.json")
    distributed = isinstance(metadata, dict) and "sharded_backend" in metadata
    if distributed or any(path.is_dir() for pattern in ("mp_rank_*", "iter_*") for path in folder.glob(pattern)):
        return (
            "a Megatron checkpoint",
            "NVIDIA's Megatron-Bridge (`AutoBridge.export_ckpt`), or Megatron-LM's `tools/checkpoint/convert.py`, "
            "makes a Hugging Face model of it",
        )
    for pattern, what, tool in OTHER_FOLDERS:
        if any(folder.glob(pattern)) and _kind(folder) is None:
            return what, tool
    return None


OTHER_FOLDERS = (
    ("*.ckpt", "a Lightning checkpoint", "`LightningModule.load_from_checkpoint`, then `save_pretrained` of its model"),
    ("*.gguf", "a GGUF model of llama.cpp", "transformers' `from_pretrained(FOLDER, gguf_file=NAME)` opens it"),
    ("_CHECKPOINT_METADATA", "an Orbax checkpoint of JAX", "the trainer that wrote it has the way to Hugging Face"),
    ("flax_model*.msgpack", "a Flax model", "transformers 4's `from_pretrained(FOLDER, from_flax=True)` opens it"),
    ("tf_model*.h5", "a TensorFlow model", "transformers 4's `from_pretrained(FOLDER, from_tf=True)` opens it"),
    ("*.nemo", "a NeMo checkpoint", "NVIDIA's Megatron-Bridge makes a Hugging Face model of it"),
)
"""Pattern of a file's name, what the folder is, and how it is converted."""


def _not_a_folder(path: Path) -> Mistake:
    if not path.exists():
        return Mistake(
            f"`{path}`: no such folder", "give the folder of one checkpoint, such as `global_step_100/actor`"
        )
    for pattern, what, tool in OTHER_FOLDERS:
        if path.match(pattern):
            return Mistake(f"`{path}`: {what}, which is not converted here", tool)
    return Mistake(f"`{path}` is a file, not a folder", f"did you mean its folder, `{path.parent}`?")


def _checkpoint_inside(folder: Path) -> Path | None:
    """The newest checkpoint below a folder: by its step's number, and of one step the first by name."""
    inside = []
    for pattern in INSIDE:
        places = [path for path in sorted(folder.glob(pattern))[:MOST_FOLDERS] if path.is_dir()]
        inside += [path for path in places if path.name != "huggingface" and _kind(path) is not None]
        if inside:
            break
    return min(inside, key=lambda path: (-_number(str(path.relative_to(folder))), str(path)), default=None)


def _number(name: str) -> int:
    """The last number in a name; -1 when there is none."""
    return int((re.findall(r"\d+", name) or ["-1"])[-1])
