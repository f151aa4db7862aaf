"""Samples from a small causal model on a CPU: the same request gets the same tokens, whatever else is asked.

Imports no verl: a rollout server's process starts in half the time without it.
"""

import asyncio
from dataclasses import dataclass, field
from typing import Any

import torch


@dataclass
class Sample:
    """The fields of verl's TokenOutput that its agent loops read."""

    token_ids: list[int]
    log_probs: list[float] | None
    extra_fields: dict[str, Any] = field(default_factory=dict)
    stop_reason: str = "completed"
    routed_experts: None = None
    num_preempted: None = None


class Generator:
    """The body of a rollout server's Ray actor: holds one float32 model and answers one request at a time."""

    def __init__(self, model: str, prompt_length: int, response_length: int):
        from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

        torch.set_num_threads(1)
        self.limit, self.response_length = prompt_length + response_length, response_length
        config = AutoConfig.from_pretrained(model)
        self.model = AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()
        self.end = AutoTokenizer.from_pretrained(model).eos_token_id
        self.version: int | None = None
        self.lock = asyncio.Lock()

    async def load(self, weights: dict[str, torch.Tensor], version: int | None) -> None:
        """Requests from now on are answered with `weights`, which are the actor's after step `version`."""
        async with self.lock:
            missing, unknown = self.model.load_state_dict(weights, strict=False)
            tied = set(self.model._tied_weights_keys or ())
            if unknown or set(missing) - tied:
                raise ValueError(f"the rollout lacks {sorted(set(missing) - tied)} and does not know {unknown}")
            self.version = version

    async def generate(
        self, prompt_ids: list[int], sampling_params: dict[str, Any], request_id: str, **unused: Any
    ) -> Sample:
        """Up to `response_length` tokens, ending with the end token unless cut.

        `sampling_params["seed"]` alone decides the draws; temperature 0 is greedy and needs none.
        """
        async with self.lock:
            length = min(self.response_length, self.limit - len(prompt_ids))
            ids, log_probs = sample(self.model, list(prompt_ids), length, self.end, sampling_params)
            kept = log_probs if sampling_params.get("logprobs") else None
            return Sample(ids, kept, {"global_steps": self.version})

    async def nothing(self, *args: Any, **kwargs: Any) -> None:
        """There is no device memory to give back and no cache to keep."""

    wake_up = sleep = clear_kv_cache = release_kv_cache = resume_kv_cache = nothing
    abort_all_requests = resume_generation = start_profile = stop_profile = nothing


@torch.no_grad()
def sample(
    model: torch.nn.Module, prompt: list[int], length: int, end: int, params: dict[str, Any]
) -> tuple[list[int], list[float]]:
    """1 to `length` tokens after `prompt` and their log-probabilities (nats, at the sampling temperature)."""
    temperature = params.get("temperature", 1.0)
    draws = torch.Generator().manual_seed(params.get("seed", 0))
    ids, log_probs, cache, step = [], [], None, torch.tensor([prompt])
    while len(ids) < max(1, length) and end not in ids[-1:]:
        output = model(input_ids=step, past_key_values=cache, use_cache=True)
        cache = output.past_key_values
        scores = torch.log_softmax(output.logits[0, -1].float() / (temperature or 1.0), -1)
        token = int(torch.multinomial(scores.exp(), 1, generator=draws) if temperature else scores.argmax())
        ids.append(token)
        log_probs.append(float(scores[token]))
        step = torch.tensor([[token]])
    return ids, log_probs
