"""vLLM's engine and transformers' on one model: what is most probable is the same, token for token."""

import pytest
import torch

from recipes.common.inference.chat_model import open_engine
from recipes.common.inference.types import Loading, Sampling
from recipes.common.model import tiny

END = 2
pytestmark = pytest.mark.filterwarnings("default")  # of vLLM's imports
ENGINES = ("transformers", "vllm")
PROMPTS = [list(range(10, 10 + length)) for length in (3, 30, 100)]


@pytest.fixture(scope="module")
def engines(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    tiny.save(folder, ["a tree and the sea"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VLLM_ENABLE_V1_MULTIPROCESSING", "0")  # computes in this process, which is quicker to begin
        yield {name: open_engine(name, Loading(folder, "cpu", "float32", False, 512, 0.9)) for name in ENGINES}
        torch.distributed.destroy_process_group()  # which vLLM has made in this process


def test_greedy_replies_are_the_same(engines):
    told, replies = (engines[name].generate(PROMPTS, Sampling(16, 0.0, 1.0, (END,)), 1) for name in ENGINES)
    assert replies == told
    banned = tuple(reply.ids[0] for reply in told)
    others, replies = (engines[name].generate(PROMPTS, Sampling(16, 0.0, 1.0, (END,), banned), 1) for name in ENGINES)
    assert replies == others != told and not {reply.ids[0] for reply in replies} & {*banned}


def test_the_same_seed_draws_the_same_replies_from_vllm(engines):
    drawn = Sampling(16, 1.0, 0.9, (END,))
    first, again, other = (engines["vllm"].generate(PROMPTS, drawn, seed) for seed in (1, 1, 40))
    assert first == again != other
