"""Whether a stage's networks have room on a GPU, role by role, before one is paid for. Pure arithmetic.

    python -m recipes.FAMILY.preflight.memory REQUEST.json

REQUEST holds `stages` (name and settings of each), `models` (by the recipe's names: `parameters` and `shape`) and
`machines` (`name`, `gpus` of a node, `nodes`, `bytes` of a GPU). Prints JSON: for each machine, each stage's phases
with their bytes on one GPU by part, and, where one does not fit, the first changes of settings with which it would.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from recipes.common.preflight.memory_estimate import Shape, training, weights
from recipes.common.preflight.settings import Inputs
from recipes.common.stage.command import StageError, run
from recipes.common.stage.inputs import read_inputs

CONTEXT = 2**30
"""Of each GPU: the driver's context, the kernels, NCCL's buffers."""

Phases = dict[str, dict[str, float]]
"""What is on one GPU while a role works: role -> part -> bytes."""


@dataclass(frozen=True)
class Machine:
    """`gpus` on each of `nodes`, with `bytes` of memory each."""

    gpus: int
    nodes: int
    bytes: float

    @property
    def world(self) -> int:
        return self.gpus * self.nodes


@dataclass(frozen=True)
class Network:
    """A model of the recipe: the number of its weights, and its shape."""

    parameters: float
    shape: Shape

    def gathered(self, size: int = 2) -> float:
        """Bytes of the two layers that FSDP holds whole at once: the one at work and the next."""
        return 2 * size * self.parameters / self.shape.layers


@dataclass(frozen=True)
class Role:
    """A network's bytes on one GPU: its shard of the states, what it needs while it works, and what stays there while
    another role works."""

    weights: float
    gradients: float = 0.0
    optimizer: float = 0.0
    working: Mapping[str, float] | None = None
    weights_leave: bool = False
    """Whether the weights go to the CPU while another role works (`param_offload`)."""
    optimizer_leaves: bool = False
    """Whether the optimizer's states are on the GPU in its own step only (`optimizer_offload`)."""

    @property
    def stays(self) -> float:
        return (0 if self.weights_leave else self.weights) + (0 if self.optimizer_leaves else self.optimizer)

    def at_work(self) -> dict[str, float]:
        """The larger of two phases: the backward pass, and the optimizer's step, which has no activations."""
        states = {"weights": self.weights, "gradients": self.gradients}
        backward = states | dict(self.working or {}) | ({} if self.optimizer_leaves else {"optimizer": self.optimizer})
        step = states | {"optimizer": self.optimizer}
        worse = max(backward, step, key=lambda parts: sum(parts.values()))
        return {part: size for part, size in worse.items() if size}


def phases(roles: Mapping[str, Role]) -> Phases:
    """Each role's bytes while it works, and what the other roles leave on the GPU meanwhile."""
    by_role = {}
    for name, working in roles.items():
        others = {other: role.stays for other, role in roles.items() if other != name and role.stays}
        by_role[name] = working.at_work() | others
    return by_role


def training_role(network: Network, machine: Machine, tokens: int, logits: bool = True, **leave: bool) -> Role:
    """A network that FSDP trains over all GPUs with AdamW in float32: 4 bytes a weight, 4 a gradient, 8 of states."""
    share = network.parameters / machine.world
    working = {"gathered": network.gathered(), "activations": network.shape.activations(tokens, 2, True)}
    return Role(
        4 * share,
        4 * share,
        8 * share,
        working | ({"logits": network.shape.logits(tokens, 2)} if logits else {}),
        **leave,
    )


def reference_role(network: Network, machine: Machine, tokens: int, weights_leave: bool = False) -> Role:
    """A network that FSDP evaluates in float32 and never trains: no layer's input is kept."""
    working = {"gathered": network.gathered(), "logits": network.shape.logits(tokens, 2)}
    return Role(4 * network.parameters / machine.world, working=working, weights_leave=weights_leave)


def rollout(
    network: Network, machine: Machine, share: float, parallel: int, roles: Mapping[str, Role]
) -> dict[str, float]:
    """The bytes while vLLM generates: its weights in bf16, shared by `parallel` GPUs, a cache that fills the rest of
    its `share` of the GPU, and what the roles leave there."""
    weights = 2 * network.parameters / parallel
    kept = {name: role.stays for name, role in roles.items() if role.stays}
    return {"weights": weights, "kv_cache": max(0.0, share * machine.bytes - weights), **kept}


def network_of(models: Mapping[str, Any], name: str) -> Network:
    """The recipe's model of that name. StageError when the recipe states no shape."""
    if models[name]["shape"] is None:
        raise StageError(
            f"the model `{name}` has no `shape`", "write the widths of its config.json into the size's file"
        )
    return Network(models[name]["parameters"], Shape(**models[name]["shape"]))


StageFit = Callable[[Mapping[str, Any], Mapping[str, Any], Machine], Phases]
"""A stage's phases on one GPU, of its settings, the recipe's models and the machine."""


def learning(name: str, sequences: int) -> StageFit:
    """Of a training of an adapter of the model `name`, which each GPU has whole; a row is so many sequences."""

    def phases(settings: Mapping[str, Any], models: Mapping[str, Any], machine: Machine) -> Phases:
        shape = network_of(models, name).shape
        tokens, trained = sequences * settings["batch"] * settings["max_length"], shape.lora(settings["lora_rank"])
        return {"learning": training(shape, settings["dtype"], settings["nf4"], trained, tokens, settings["recompute"])}

    return phases


def merging(name: str) -> StageFit:
    """The merged model, and then its base `name` with the adapter: never both at once."""
    return lambda settings, models, machine: {
        "comparing": {"weights": weights(network_of(models, name).shape, "bfloat16", False)}
    }


def serving(parts: dict[str, float], settings: Mapping[str, Any], machine: Machine, sequences: int) -> dict[str, float]:
    """The bytes of generation, by the engine of the settings: vllm takes its share whole, whatever is in it; a cache
    that is too small makes it wait, from one chat on."""
    if settings["engine"] != "vllm":
        return parts
    room = settings["gpu_share"] * machine.bytes - parts["weights"]
    return {"weights": parts["weights"], "kv_cache": max(room, parts["kv_cache"] / sequences)}


def answer(
    request: Mapping[str, Any], stages: Mapping[str, StageFit], relief: Sequence[Mapping[str, Any]]
) -> list[Any]:
    """An entry for each machine and stage. `relief`: changes that free memory, the least harmful first; they add up."""
    answers = []
    for entry in request["machines"]:
        machine = Machine(entry["gpus"], entry["nodes"], entry["bytes"])
        for stage in request["stages"]:
            fit, settings = stages.get(stage["name"].rstrip("0123456789")), stage["settings"]  # `dpo2` is a round's
            if fit is None:
                continue
            needed = fit(settings, request["models"], machine)
            changes = None if _fits(needed, machine) else _relief(fit, settings, request["models"], machine, relief)
            answers.append({"machine": entry["name"], "stage": stage["name"], "phases": needed, "relief": changes})
    return answers


def main(stages: Mapping[str, StageFit], relief: Sequence[Mapping[str, Any]]) -> None:
    """Runs a family's command."""
    request = json.loads(read_inputs(__doc__, Inputs).request.read_text(encoding="utf-8"))
    run(lambda: print(json.dumps(answer(request, stages, relief))))


def _fits(needed: Phases, machine: Machine) -> bool:
    return max(sum(parts.values()) for parts in needed.values()) + CONTEXT <= machine.bytes


def _relief(
    fit: StageFit,
    settings: Mapping[str, Any],
    models: Mapping[str, Any],
    machine: Machine,
    changes: Sequence[Mapping[str, Any]],
) -> dict[str, Any] | None:
    """The first changes with which the stage fits: each change alone, then each together with those before it; None
    when all of them together are not enough."""
    new = [change for change in changes if any(settings.get(key, value) != value for key, value in change.items())]
    for change in new:
        if _fits(fit({**settings, **change}, models, machine), machine):
            return dict(change)
    together: dict[str, Any] = {}
    for change in new:
        together |= change
        if _fits(fit({**settings, **together}, models, machine), machine):
            return together
    return None
