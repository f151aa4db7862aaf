"""Replies by vllm, which schedules any number of prompts by itself."""

import os
from typing import Any

from vllm import LLM, SamplingParams

from recipes.common.inference.types import Loading, Reply, Sampling
from recipes.common.model.loading import children_bytes, device_bytes

ON_CPU: dict[str, Any] = {"enforce_eager": True, "kv_cache_memory_bytes": 1 << 28}
"""For vllm's build for CPUs: no compiler is needed, and 256 MiB of cache instead of a share of the machine's memory."""

NEVER = -100.0
"""The lowest `logit_bias` there is: a probability of e-100."""


class VllmEngine:
    """One GPU, or a CPU. vllm computes in a process of its own, which ends with this one."""

    def __init__(self, loading: Loading):
        os.environ["VLLM_NO_USAGE_STATS"] = "1"
        self.device = loading.device
        self.llm = LLM(**engine_arguments(loading))

    def generate(self, prompts: list[list[int]], sampling: Sampling, seed: int) -> list[Reply]:
        if not sampling.banned_first:
            return self._generate(prompts, sampling_arguments(sampling, sampling.max_tokens), seed)
        # A bias holds for a whole reply, so that the first token is a reply of its own.
        first = sampling_arguments(sampling, 1) | {"logit_bias": dict.fromkeys(sampling.banned_first, NEVER)}
        replies = self._generate(prompts, first, seed)
        open_ = [index for index, reply in enumerate(replies) if not reply.ended]
        if open_ and sampling.max_tokens > 1:
            longer = [prompts[index] + replies[index].ids for index in open_]
            rest = self._generate(longer, sampling_arguments(sampling, sampling.max_tokens - 1), seed + len(prompts))
            for index, more in zip(open_, rest, strict=True):
                replies[index] = Reply(replies[index].ids + more.ids, more.ended)
        return replies

    def peak_bytes(self) -> int:
        return device_bytes() if self.device == "cuda" else children_bytes()

    def _generate(self, prompts: list[list[int]], arguments: dict[str, Any], seed: int) -> list[Reply]:
        """One request for each prompt, each with a seed of its own."""
        requests = [{"prompt_token_ids": prompt} for prompt in prompts]
        drawn = [SamplingParams(seed=seed + index, **arguments) for index in range(len(prompts))]
        outputs = [output.outputs[0] for output in self.llm.generate(requests, drawn, use_tqdm=False)]
        stop = arguments["stop_token_ids"]
        return [
            Reply([token for token in output.token_ids if token not in stop], output.finish_reason == "stop")
            for output in outputs
        ]


def engine_arguments(loading: Loading) -> dict[str, Any]:
    """What vllm.LLM gets."""
    quantized = {"quantization": "bitsandbytes", "load_format": "bitsandbytes"} if loading.nf4 else {}
    return {
        "model": str(loading.folder),
        "dtype": loading.dtype,
        "max_model_len": loading.max_length,
        **(ON_CPU if loading.device == "cpu" else {"gpu_memory_utilization": loading.gpu_share}),
        "generation_config": "vllm",  # nothing of the model's own
        "enable_prefix_caching": True,
        **quantized,
    }


def sampling_arguments(sampling: Sampling, max_tokens: int) -> dict[str, Any]:
    """What vllm.SamplingParams gets, besides the seed."""
    return {
        "max_tokens": max_tokens,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p if sampling.temperature > 0 else 1.0,
        "stop_token_ids": list(sampling.stop),
        "ignore_eos": True,  # the stop tokens say when, and nothing else
        "detokenize": False,
        "skip_special_tokens": False,
    }
