"""vllm's engine against the names that vllm 0.24.0 knows (resources/, from its wheel), and a vllm that echoes."""

import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from recipes.common.inference import vllm_cpu
from recipes.common.inference.chat_model import open_engine
from recipes.common.inference.types import Loading, Sampling
from recipes.common.stage.command import Mistake

KNOWN = json.loads((Path(__file__).parents[1] / "resources/vllm-0.24.0.json").read_text())
LOADING = Loading(Path("/model"), "cuda", "bfloat16", False, 896, 0.9)
END = 99


class Llm:
    """Replies to a prompt with its last id, one higher each time, and then the end."""

    def __init__(self, **arguments):
        assert arguments.keys() <= {*KNOWN["LLM.__init__"], *KNOWN["EngineArgs"]}
        self.arguments, self.calls = arguments, []

    def generate(self, prompts, sampling_params, use_tqdm):
        assert {"prompts", "sampling_params", "use_tqdm"} <= {*KNOWN["LLM.generate"]}
        assert all(prompt.keys() <= {*KNOWN["TokensPrompt"]} for prompt in prompts)
        self.calls.append((prompts, sampling_params))
        return [
            SimpleNamespace(outputs=[self._reply(prompt["prompt_token_ids"], one)])
            for prompt, one in zip(prompts, sampling_params, strict=True)
        ]

    @staticmethod
    def _reply(ids, params):
        tokens = [*range(ids[-1] + 1, ids[-1] + 4), END][: params.max_tokens]
        banned = params.__dict__.get("logit_bias") or {}
        tokens = [token + 10 if token in banned else token for token in tokens]
        found = {"token_ids": tokens, "finish_reason": "stop" if END in tokens else "length"}
        assert found.keys() <= {*KNOWN["CompletionOutput"]}
        return SimpleNamespace(**found)


class Params(SimpleNamespace):
    def __init__(self, **arguments):
        assert arguments.keys() <= {*KNOWN["SamplingParams"]}
        super().__init__(**arguments)


@pytest.fixture(autouse=True)
def installed(monkeypatch):
    """As in the CUDA image, whatever is in this environment."""
    monkeypatch.setattr(vllm_cpu.metadata, "version", lambda name: KNOWN[name])


@pytest.fixture
def engine(monkeypatch):
    vllm = ModuleType("vllm")
    vllm.LLM, vllm.SamplingParams = Llm, Params
    monkeypatch.setitem(sys.modules, "vllm", vllm)
    monkeypatch.delitem(sys.modules, "recipes.common.inference.vllm_engine", raising=False)
    yield lambda loading=LOADING: open_engine("vllm", loading)
    sys.modules.pop("recipes.common.inference.vllm_engine", None)


def test_the_names_are_those_of_the_version_that_is_locked():
    lock = (Path(__file__).parents[4] / "locks/cuda.lock").read_text()
    assert f"\nvllm=={KNOWN['vllm']} " in lock


def test_prompts_are_ids_and_every_request_has_a_seed_of_its_own(engine):
    opened = engine()
    replies = opened.generate([[1, 2], [5]], Sampling(8, 0.7, 0.9, (END,)), seed=40)
    assert replies == [([3, 4, 5], True), ([6, 7, 8], True)]
    [(prompts, params)] = opened.llm.calls
    assert prompts == [{"prompt_token_ids": [1, 2]}, {"prompt_token_ids": [5]}]
    assert [one.seed for one in params] == [40, 41]
    assert {one.temperature for one in params} == {0.7} and {one.top_p for one in params} == {0.9}


def test_a_reply_that_was_cut_off_says_so(engine):
    assert engine().generate([[1]], Sampling(2, 1.0, 1.0, (END,)), 0) == [([2, 3], False)]


def test_greedy_replies_have_no_top_p(engine):
    opened = engine()
    opened.generate([[1]], Sampling(2, 0.0, 0.9, (END,)), 0)
    assert opened.llm.calls[0][1][0].top_p == 1.0


def test_only_the_first_token_is_banned(engine):
    opened = engine()
    [reply] = opened.generate([[1]], Sampling(4, 1.0, 0.95, (END,), banned_first=(2, 14)), 7)
    assert reply == ([12, 13, 14, 15], False)
    first, rest = opened.llm.calls
    assert first[1][0].logit_bias == {2: -100.0, 14: -100.0} and first[1][0].max_tokens == 1
    assert rest[0] == [{"prompt_token_ids": [1, 12]}] and rest[1][0].max_tokens == 3
    assert "logit_bias" not in vars(rest[1][0]) and rest[1][0].seed != first[1][0].seed


def test_the_model_is_opened_with_its_length_and_share(engine):
    assert engine().llm.arguments == {
        "model": "/model",
        "dtype": "bfloat16",
        "max_model_len": 896,
        "gpu_memory_utilization": 0.9,
        "generation_config": "vllm",
        "enable_prefix_caching": True,
    }


def test_four_bits_are_bitsandbytes(engine):
    arguments = engine(Loading(Path("/model"), "cuda", "float16", True, 896, 0.9)).llm.arguments
    assert arguments["quantization"] == arguments["load_format"] == "bitsandbytes"


def test_without_vllm_it_is_a_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "vllm", None)
    monkeypatch.delitem(sys.modules, "recipes.common.inference.vllm_engine", raising=False)
    with pytest.raises(Mistake) as caught:
        open_engine("vllm", LOADING)
    assert caught.value.error == "`engine` is `vllm`, and `vllm` is not installed"
    assert caught.value.hint == "use the CUDA image, or `transformers`"
