"""What readers older than transformers 5 look for in a model's `config.json`.

transformers 5 moved the settings of rotary positions into `rope_parameters` and calls the number of experts by another
name in some classes. transformers 4.57, and with it the vLLM of today, reads `rope_theta`, `rope_scaling`,
`partial_rotary_factor` and `num_experts`, and silently takes its defaults where they are missing. transformers 5 takes
the same values from either.
"""

from collections.abc import Mapping
from typing import Any

EXPERTS = {"num_experts": "num_local_experts", "num_local_experts": "num_experts"}
LONGROPE = ("short_factor", "long_factor")
PLAIN = {"rope_theta", "rope_type", "partial_rotary_factor"}
"""Parameters that have a key of their own, or that the default type has."""


def with_older_keys(config: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration with the older keys beside the newer ones, in its parts too. `rope_parameters` go before an
    older key that is there: transformers 5 writes its class's default under `partial_rotary_factor`."""
    older: dict[str, Any] = {}
    if isinstance(parameters := config.get("rope_parameters"), dict):
        older |= _rope(parameters, str(config.get("model_type")))
    older |= {EXPERTS[name]: config[name] for name in EXPERTS if name in config and EXPERTS[name] not in config}
    parts = {
        name: with_older_keys(part) for name, part in config.items() if name.endswith("_config") and _is_part(part)
    }
    return {**config, **older, **parts}


def _is_part(value: Any) -> bool:
    return isinstance(value, dict) and "model_type" in value


def _rope(parameters: Mapping[str, Any], model_type: str) -> dict[str, Any]:
    if isinstance(whole := parameters.get("full_attention"), dict):  # Gemma 3: other parameters for other layers
        local = parameters.get("sliding_attention") or {}
        older = {"rope_local_base_freq": local["rope_theta"]} if "rope_theta" in local else {}
        return {**_rope(whole, model_type), **older}
    older = {}
    if (theta := parameters.get("rope_theta")) is not None:
        older["rotary_emb_base" if model_type == "gpt_neox" else "rope_theta"] = theta
    if (share := parameters.get("partial_rotary_factor")) is not None:
        older["rotary_pct" if model_type == "gpt_neox" else "partial_rotary_factor"] = share
    scaling = {name: value for name, value in parameters.items() if name not in PLAIN}
    kind = parameters.get("rope_type", "default")
    if kind == "longrope":  # Phi-3's class of 4.57 refuses any other field
        older["rope_scaling"] = {"type": kind, **{name: scaling[name] for name in LONGROPE if name in scaling}}
    elif kind != "default" or scaling:
        older["rope_scaling"] = {"rope_type": kind, "type": kind, **scaling}
    return older
