"""The command that checks the settings of a plan's stages before anything is paid. Each family gives its own kinds."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from recipes.common.stage.command import Mistake
from recipes.common.stage.inputs import POSITIONAL, read_inputs
from recipes.common.stage.settings import as_kind, read_value

KEYS = {"stage", "kind", "settings", "cloud"}
"""What a request says of each stage, and where it will run: `local`, `docker`, `slurm`, or clouds."""


@dataclass(frozen=True)
class Inputs:
    """What the command line names: a JSON file."""

    request: Annotated[Path, POSITIONAL]


def check_stages(
    about: str, kinds: Mapping[str, type], argv: list[str] | None = None, look: Callable[[Any], None] = lambda _: None
) -> None:
    """Returns when the settings of each stage are of its kind and `look` accepts them. A Mistake names the first stage
    whose settings are wrong."""
    path = read_inputs(about, Inputs, argv).request
    request = read_value(path, "the argument is a JSON list of stages")
    if not isinstance(request, list) or not all(isinstance(entry, dict) and entry.keys() == KEYS for entry in request):
        raise Mistake(f"`{path}`: not a list of stages", f"each stage has `{'`, `'.join(sorted(KEYS))}`")
    for entry in request:
        stage, kind = entry["stage"], entry["kind"]
        if not isinstance(kind, str) or kind not in kinds:
            hint = f"the kinds are `{'`, `'.join(kinds)}`"
            raise Mistake(f"stage `{stage}`: unknown kind `{kind}` of settings", hint)
        try:
            settings = as_kind(entry["settings"], kinds[kind])
            if entry["cloud"] != "local":
                demand_no_vllm_on_a_cpu(settings)
            look(settings)
        except Mistake as problem:
            raise Mistake(f"stage `{stage}`: {problem.error}", problem.hint) from None
        print(f"{stage}: fine")


def demand_no_vllm_on_a_cpu(settings: Any) -> None:
    """A Mistake where vLLM is to run on a CPU: no image has its build for CPUs."""
    for name, light in (("engine", "transformers"), ("rollout", "hf")):
        if getattr(settings, "device", "") == "cpu" and getattr(settings, name, "") == "vllm":
            raise Mistake(
                f"`{name}` is `vllm` and `device` is `cpu`: no image has vLLM's build for CPUs",
                f"set `{name}` to `{light}`, or run on this machine without Docker, after `make setup-vllm`",
            )
