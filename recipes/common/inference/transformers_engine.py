"""Replies by transformers: on a CPU, or on a GPU too small or too old for vllm."""

import torch
from transformers import GenerationConfig, LogitsProcessor, LogitsProcessorList

from recipes.common.inference.types import Loading, Reply, Sampling
from recipes.common.model.loading import Peak, load_model


class TransformersEngine:
    """All prompts of a call are one batch, padded on the left."""

    def __init__(self, loading: Loading):
        self.peak = Peak(loading.device)
        self.model = load_model(loading.folder, loading.device, loading.dtype, loading.nf4).eval()
        self.device = loading.device
        # What the model's own generation settings say does not count here.
        self.model.generation_config = GenerationConfig()

    @torch.inference_mode()
    def generate(self, prompts: list[list[int]], sampling: Sampling, seed: int) -> list[Reply]:
        longest, pad = max(map(len, prompts)), sampling.stop[0]
        ids = torch.tensor([[pad] * (longest - len(prompt)) + prompt for prompt in prompts], device=self.device)
        lengths = map(len, prompts)
        mask = torch.tensor([[0] * (longest - length) + [1] * length for length in lengths], device=self.device)
        drawn = sampling.temperature > 0
        draw = {"temperature": sampling.temperature, "top_p": sampling.top_p, "top_k": 0} if drawn else {}
        torch.manual_seed(seed)
        tokens = self.model.generate(
            input_ids=ids,
            attention_mask=mask,
            max_new_tokens=sampling.max_tokens,
            do_sample=drawn,
            eos_token_id=list(sampling.stop),
            pad_token_id=pad,
            logits_processor=LogitsProcessorList([NotFirst(sampling.banned_first, longest)]),
            **draw,
        )[:, longest:]
        return [reply_before_stop(row, sampling.stop) for row in tokens.tolist()]

    def peak_bytes(self) -> int:
        return self.peak.bytes()


class NotFirst(LogitsProcessor):
    """Some tokens cannot come right after the prompt, which is `length` tokens long."""

    def __init__(self, banned: tuple[int, ...], length: int):
        self.banned, self.length = list(banned), length

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        if self.banned and input_ids.shape[1] == self.length:
            scores = scores.clone()
            scores[:, self.banned] = -torch.inf
        return scores


def reply_before_stop(tokens: list[int], stop: tuple[int, ...]) -> Reply:
    """The tokens before the first that stops."""
    for index, token in enumerate(tokens):
        if token in stop:
            return Reply(tokens[:index], True)
    return Reply(tokens, False)
