"""An exported model as its user opens it: by transformers' class for it, without the converter's code.

Plain torch reads the checkpoint here: each rank file with `torch.load`, and `torch.cat` puts a cut tensor together.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch.distributed.tensor import DTensor, Shard

from recipes.common.checkpoint.fsdp import load_rank, replica, world_size
from recipes.common.checkpoint.pretrained import critic_name
from recipes.common.checkpoint.saved_layout import configuration
from recipes.common.stage.command import StageError
from recipes.common.stage.files import read_json

AGAIN = "the export was not made from this checkpoint, or was changed later: convert again"
WHOLE_FOLDER = "verl saves the tokenizer with every checkpoint: copy the role's whole folder, and convert again"
TOKENIZERS = ("tokenizer.*", "*.model", "vocab.*", "*.tiktoken", "tekken.json")
"""Files one of which every tokenizer has."""
REPLY_TOKENS = 64
TOKENS = 16
"""Of the sequence whose numbers are compared: more than a sliding window's start, little work for a large model."""
TOLERANCE = 1e-5
"""Between two computations with the same weights: none on one machine, and far below what another `rope_theta` does."""


def open_export(export: Path) -> Any:
    """The model, by the class that its `architectures` names. StageError when transformers does not open it whole."""
    import transformers

    written = read_json(export / "config.json")
    architecture = next(iter(written.get("architectures") or ()), "") if isinstance(written, dict) else ""
    kind = getattr(transformers, architecture, None)
    if architecture and kind is None:
        raise StageError(
            f"`{export}`: transformers has no class `{architecture}`, so the export cannot be opened here",
            "every tensor in its files is the checkpoint's; open it with the code that it was trained with",
        )
    try:
        kind = kind or transformers.AutoModelForCausalLM
        model, info = kind.from_pretrained(
            export, dtype="auto", output_loading_info=True, local_files_only=True, trust_remote_code=False
        )
    except Exception as problem:  # whatever the files make transformers trip over
        raise StageError(f"`{export}`: transformers cannot open it: {_first_line(problem)}", AGAIN) from problem
    for what in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        if info.get(what):
            first = sorted(map(str, info[what]))[0]
            raise StageError(f"`{export}`: transformers finds {what.replace('_', ' ')}: `{first}`", AGAIN)
    return model.eval()


def demand_same_weights(export: Path, model: Any, checkpoint: Path) -> None:
    """Each tensor of the opened model is what torch puts together from the rank files. StageError otherwise."""
    world = world_size(checkpoint)
    first = load_rank(checkpoint, world, 0)
    states = [first, *(load_rank(checkpoint, world, rank) for rank in replica(checkpoint, world, first)[1:])]
    names = {critic_name(name): name for name in first}
    demand_equal_state(export, model, names, lambda name: _whole([state[name] for state in states]))


def demand_equal_state(export: Path, model: Any, names: Mapping[str, str], read: Callable[[str], torch.Tensor]) -> None:
    """Each tensor of the opened model is the checkpoint's. `names`: name in the model -> name in the checkpoint, of
    which `read` gives the tensor. StageError otherwise."""
    ties = model.get_expanded_tied_weights_keys(all_submodels=True)
    for name, value in model.state_dict().items():
        trained_as = names.get(name) or names.get(ties.get(name, ""))
        if trained_as is None:
            raise StageError(f"`{export}`: opened, it has `{name}`, which the checkpoint has not", AGAIN)
        trained = read(trained_as)
        stored = trained.to(model.dtype) if trained.is_floating_point() else trained
        if trained.shape != value.shape or not any(torch.equal(value, it.to(value.dtype)) for it in (stored, trained)):
            raise StageError(f"`{export}`: opened, its `{name}` is not the checkpoint's", AGAIN)


def _whole(shares: list[torch.Tensor]) -> torch.Tensor:
    """The tensor of which the ranks of one replica, in order, have these shares."""
    first = shares[0]
    if not isinstance(first, DTensor):
        return first
    inner = first.placements[-1]
    if not isinstance(inner, Shard):
        return first.to_local()
    parts = [share.to_local() for share in shares if isinstance(share, DTensor)]
    return torch.cat([part for part in parts if part.numel()] or parts[:1], inner.dim)


def demand_same_configuration(export: Path, expected: Mapping[str, Any]) -> None:
    """The export's configuration is the `expected` one, whatever the type of its numbers. StageError otherwise."""
    written = read_json(export / "config.json")
    for name in sorted((written.keys() | expected.keys()) - {"dtype", "torch_dtype"}):
        if written.get(name) != expected.get(name):
            raise StageError(
                f"`{export}/config.json`: `{name}` is `{written.get(name)}`, and `{expected.get(name)}` by the "
                "checkpoint's configuration",
                AGAIN,
            )


def demand_same_numbers(export: Path, model: Any, config: Mapping[str, Any]) -> None:
    """With the checkpoint's configuration the model's weights give the same numbers. StageError otherwise: a changed
    `rope_theta`, say, which no tensor shows."""
    from accelerate import init_empty_weights

    try:
        with init_empty_weights(include_buffers=False):
            trained = type(model)(configuration(type(model.config), config))
        trained.load_state_dict(model.state_dict(), assign=True)
    except Exception as problem:  # whatever the class trips over
        raise StageError(
            f"`{export}/config.json`: the checkpoint's configuration makes another model: {_first_line(problem)}",
            AGAIN,
        ) from problem
    tokens = torch.arange(TOKENS)[None] % model.get_input_embeddings().weight.shape[0]
    with torch.no_grad():
        ours, theirs = (it(input_ids=tokens).logits.float() for it in (model, trained.eval()))
    if not torch.allclose(ours, theirs, atol=TOLERANCE, rtol=TOLERANCE, equal_nan=True):
        far = float((ours - theirs).abs().max())
        raise StageError(
            f"`{export}/config.json`: the model computes something else with it than with the checkpoint's: "
            f"logits differ by up to {far:g}",
            AGAIN,
        )


def reply(export: Path, model: Any, prompt: str) -> dict[str, str]:
    """The prompt, and the model's own reply to it; nothing of a model that does not generate text alone. StageError
    when its tokenizer is not there, or has no chat template that works."""
    from transformers import AutoTokenizer

    if not model.can_generate():
        return {}
    if not any(any(export.glob(pattern)) for pattern in TOKENIZERS):  # transformers would make an empty one
        raise StageError(f"`{export}`: it has no tokenizer", WHOLE_FOLDER)
    try:
        tokenizer = AutoTokenizer.from_pretrained(export, local_files_only=True, trust_remote_code=False)
    except Exception as problem:  # whatever the tokenizer's files hold
        raise StageError(
            f"`{export}`: its tokenizer cannot be opened: {' '.join(str(problem).split())[:200]}",
            WHOLE_FOLDER,
        ) from problem
    if not tokenizer.chat_template:
        raise StageError(
            f"`{export}`: the tokenizer has no chat template, so the model cannot answer a chat",
            "train from a tokenizer with a chat template: verl saves it with every checkpoint",
        )
    try:
        chat = tokenizer.apply_chat_template(
            [{"role": "user", "content": prompt}], add_generation_prompt=True, return_dict=True, return_tensors="pt"
        )
    except Exception as problem:  # a template is a program
        raise StageError(
            f"`{export}`: its chat template fails: {' '.join(str(problem).split())[:200]}",
            "correct chat_template.jinja, or train from a tokenizer with a template that works",
        ) from problem
    length, last = chat["input_ids"].shape[1], int(chat["input_ids"].max())
    if last >= (rows := len(model.get_input_embeddings().weight)):
        raise StageError(
            f"`{export}`: its tokenizer makes token {last}, and the model has {rows} tokens",
            "the tokenizer is of another model: put the right one into `huggingface/`, and convert again",
        )
    longest = getattr(model.config.get_text_config(), "max_position_embeddings", None) or length + REPLY_TOKENS
    # The sampling settings that come with the model would only be warned about.
    greedy = {"do_sample": False, "temperature": None, "top_p": None, "top_k": None}
    tokens = model.generate(**chat, max_new_tokens=max(1, min(REPLY_TOKENS, longest - length)), **greedy)
    return {"prompt": prompt, "reply": tokenizer.decode(tokens[0, length:], skip_special_tokens=True)}


def _first_line(problem: Exception) -> str:
    return (str(problem).strip() or type(problem).__name__).splitlines()[0]
