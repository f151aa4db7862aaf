"""transformers' engine on a tiny model: ids in, ids out, the same ones for the same seed."""

import pytest
import torch

from recipes.common.inference.chat_model import open_engine
from recipes.common.inference.transformers_engine import NotFirst, reply_before_stop
from recipes.common.inference.types import Loading, Sampling
from recipes.common.model import tiny

END = 2


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    tiny.save(folder, ["a tree", "the sea"])
    return open_engine("transformers", Loading(folder, "cpu", "float32", False, 64, 0.9))


PROMPTS = [[5, 6, 7], [8], [9, 10]]


def test_the_same_seed_gives_the_same_replies_and_another_others(engine):
    drawn = Sampling(12, 1.0, 0.95, (END,))
    first, again, other = (engine.generate(PROMPTS, drawn, seed) for seed in (1, 1, 2))
    assert first == again != other
    assert all(len(reply.ids) <= 12 and END not in reply.ids for reply in first)


def test_padding_changes_no_greedy_reply(engine):
    greedy = Sampling(8, 0.0, 1.0, (END,))
    alone = [engine.generate([prompt], greedy, 0)[0] for prompt in PROMPTS]
    assert engine.generate(PROMPTS, greedy, 0) == alone


def test_no_reply_begins_with_a_banned_token(engine):
    greedy = Sampling(4, 0.0, 1.0, (END,))
    first = engine.generate(PROMPTS, greedy, 0)[0].ids[0]
    banned = Sampling(4, 0.0, 1.0, (END,), banned_first=(first,))
    assert engine.generate(PROMPTS, banned, 0)[0].ids[0] != first


def test_a_ban_holds_for_the_first_token_only():
    scores, ban = torch.zeros(1, 4), NotFirst((1, 3), 2)
    assert ban(torch.zeros(1, 2, dtype=torch.long), scores).tolist() == [[0, -torch.inf, 0, -torch.inf]]
    assert ban(torch.zeros(1, 3, dtype=torch.long), scores).tolist() == [[0, 0, 0, 0]]


@pytest.mark.parametrize(
    ("tokens", "reply"),
    [([4, 5, END, 1, 1], ([4, 5], True)), ([4, 5], ([4, 5], False)), ([END], ([], True)), ([], ([], False))],
)
def test_a_reply_ends_before_the_first_token_that_stops(tokens, reply):
    assert reply_before_stop(tokens, (END, 1)) == reply


def test_it_says_how_much_memory_it_took(engine):
    assert engine.peak_bytes() > 0


def test_the_linear_layers_of_four_bits_are_bitsandbytes(tmp_path):
    tiny.save(tmp_path, ["a tree"])
    engine = open_engine("transformers", Loading(tmp_path, "cpu", "float32", True, 64, 0.9))
    kinds = {type(one).__name__ for one in engine.model.modules()}
    assert "Linear4bit" in kinds
    assert len(engine.generate([[5, 6]], Sampling(4, 1.0, 1.0, (END,)), 0)) == 1
