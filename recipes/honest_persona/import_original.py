"""Translates the original project's config.json and env.json into a size of this recipe.

    python -m recipes.honest_persona.import_original config.json [env.json] [--out sizes/mine.yaml]

Prints what each key became, and then the YAML of the size, or writes it. A key that this recipe does not read is an
error: the original ignored two keys silently, and a run was not what its configuration said. Values of secrets are
neither printed nor stored.
"""

import difflib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from recipes.common.stage.command import Mistake, run
from recipes.common.stage.files import write_text
from recipes.common.stage.inputs import POSITIONAL, read_inputs

SWITCHES = ("add_sp_token", "use_dummy_data", "exclude_system_prompt", "lora_patch")
"""0 and 1 in the original, false and true here."""

KEPT = [
    *("elicitation_type", "add_sp_token", "system_tag", "intervention_prefix", "review_prefix", "flag_prefix"),
    *("train_topics", "validation_topics", "tags_to_filter", "claude_frac", "val_samples_per_topic", "use_dummy_data"),
    *("first_heavy_log_step", "heavy_log_increment_percent", "validation_batch_size", "exclude_system_prompt"),
    *("lora_r", "lora_alpha", "lora_dropout", "batch_size", "epochs", "lr", "beta1", "beta2", "weight_decay"),
    *("seq_len", "seed"),
]
"""Keys with the same name and meaning here."""

RENAMED = {
    "intervention_type": "intervention_type",
    "intervention_types": "intervention_type",
    "max_new_tokens_eval": "max_new_tokens",
    "lora_patch": "lora_mask",
}
"""Keys with another name here. The first two are a text or a list in the original, and a list here."""

VARIABLES = {
    "WANDB_API_KEY": "a secret: say where it is under `secrets:` of site.yaml",
    "HF_TOKEN": "a secret: say where it is under `secrets:` of site.yaml",
    "OPENROUTER_KEY": "left out: training does not need it",
    "CUDA_VISIBLE_DEVICES": "derived: `ranks` null takes every GPU that the job file asks for",
    "PYTORCH_CUDA_ALLOC_CONF": "job",
    "TORCHDYNAMO_DISABLE": "job",
    "NCCL_P2P_DISABLE": "job",
    "NCCL_IB_DISABLE": "job",
    "NCCL_SHM_DISABLE": "job",
    "TORCH_NCCL_ASYNC_ERROR_HANDLING": "job",
    "TORCH_NCCL_BLOCKING_WAIT": "job",
    "NCCL_DEBUG": "job",
    "CUDA_DEVICE_ORDER": "job",
}
"""What becomes of each variable of env.json; `job`: it goes, as it is, under `envs:` of the job file, which is the
backend's business."""


@dataclass(frozen=True)
class Translation:
    """The two files in the words of this recipe."""

    settings: dict[str, Any]
    envs: dict[str, str]
    mapping: list[tuple[str, str]]
    """Key there -> what it is here."""


def translate(config: dict[str, Any], env: dict[str, Any]) -> Translation:
    """The two files in the words of this recipe. Raises Mistake for a key that this recipe does not read."""
    settings, envs, mapping = {}, {}, []
    for key, value in config.items():
        if key not in KEPT and key not in RENAMED:
            raise _unread("config.json", key, [*KEPT, *RENAMED])
        name = RENAMED.get(key, key)
        if name in settings:
            raise Mistake(f"`config.json`: `{key}` and another key both mean `{name}`", "leave one of them out")
        settings[name] = _value(key, value)
        mapping.append((f"config.json {key}", f"settings.{name}: {json.dumps(settings[name], ensure_ascii=False)}"))
    for key, value in env.items():
        if key not in VARIABLES:
            raise _unread("env.json", key, list(VARIABLES))
        target = VARIABLES[key]
        if target == "job":
            envs[key] = str(value)
            target = f"envs of the job file: {key}: {json.dumps(envs[key])}"
        mapping.append((f"env.json {key}", target))
    return Translation(settings, envs, mapping)


@dataclass(frozen=True, kw_only=True)
class Inputs:
    config: Annotated[Path, POSITIONAL]
    env: Annotated[Path | None, POSITIONAL, {"nargs": "?"}] = None
    out: Path | None = None


def main(argv: list[str] | None = None) -> None:
    """Prints or writes the size."""
    inputs = read_inputs(__doc__, Inputs, argv)
    translation = translate(_read(inputs.config), _read(inputs.env) if inputs.env else {})
    wide = max((len(key) for key, _ in translation.mapping), default=0)
    for key, target in translation.mapping:
        print(f"{key:<{wide}}  ->  {target}")
    text = size_yaml(translation.settings, inputs.config.name)
    if inputs.out:
        write_text(inputs.out, text)
        print(f"\n{inputs.out}: name its model under `models:`, as in sizes/8b.yaml")
    else:
        print(f"\n{text}", end="")
    if translation.envs:
        lines = "\n".join(f"  {name}: {json.dumps(value)}" for name, value in translation.envs.items())
        print(f"\n# for the job file\nenvs:\n{lines}")


def size_yaml(settings: dict[str, Any], source: str) -> str:
    """The text of `sizes/<size>.yaml`. JSON's values are YAML's."""
    lines = [f"  {name}: {json.dumps(value, ensure_ascii=False)}" for name, value in settings.items()]
    about = json.dumps(f"imported from {source}")
    return "\n".join([f"about: {about}", "settings:" if lines else "settings: {}", *lines]) + "\n"


def _value(key: str, value: Any) -> Any:
    if key in SWITCHES:
        if value not in (0, 1):
            raise Mistake(f"`config.json`: `{key}` is `{json.dumps(value)}`", "write 0 or 1")
        return bool(value)
    if key == "intervention_type" and isinstance(value, str):
        return [value]
    return value


def _unread(file: str, key: str, known: list[str]) -> Mistake:
    near = difflib.get_close_matches(key, known, 1)
    hint = f"did you mean `{near[0]}`?" if near else "remove it if the run does not depend on it"
    return Mistake(f"`{file}`: this recipe does not read `{key}`", hint)


def _read(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise Mistake(f"no file `{path}`", "name the project's config.json, and its env.json") from None
    except ValueError as problem:
        raise Mistake(f"`{path}` is not JSON: {problem}", "correct the file") from None
    if not isinstance(value, dict):
        raise Mistake(f"`{path}` is not a JSON object", "correct the file")
    return value


if __name__ == "__main__":
    run(main)
