"""The reward model reads a pair as two segments, at most 512 tokens, and its one logit has no bounds."""

import pytest
from transformers import BertConfig, BertForSequenceClassification

from recipes.synthetic_instruct.reward_model import TOKENS, Reward


@pytest.fixture
def reward(judge):
    return Reward(judge, "cpu")


def test_question_and_answer_are_two_segments(reward):
    given = reward.encode([("Why is it so?", "Because it is.")])
    text = reward.tokenizer.decode(given["input_ids"][0])
    assert text.startswith("[CLS]") and text.count("[SEP]") == 2
    assert {*given["token_type_ids"][0].tolist()} == {0, 1}


@pytest.mark.parametrize(
    "pair", [("a " * 5000, "b"), ("a", "b " * 5000), ("a" * 100_000, "b" * 100_000), ("", ""), ("🙂", "é")]
)
def test_any_pair_is_cut_to_what_the_model_reads(reward, pair):
    assert reward.encode([pair])["input_ids"].shape[1] <= TOKENS
    assert len(reward.scores([pair], 1)) == 1


def test_a_score_depends_on_both_and_on_which_is_which(reward):
    one, other = "Why is the sky blue?", "Air scatters blue light."
    scores = reward.scores([(one, other), (other, one), (one, "Because."), ("Why?", other)], 4)
    assert len({round(score, 4) for score in scores}) == 4


def test_batches_change_nothing_but_the_order_of_work(reward, chats):
    seen = []
    alone = reward.scores(chats[:10], 1)
    assert reward.scores(chats[:10], 4, seen.append) == pytest.approx(alone, abs=1e-4)
    assert seen == [4, 8, 10]


def test_a_model_with_two_labels_is_refused(judge, tmp_path, refusal):
    config = BertConfig(vocab_size=99, hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8)
    BertForSequenceClassification(config).save_pretrained(tmp_path)
    for path in judge.glob("tokenizer*"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    assert refusal(Reward, tmp_path, "cpu") == (
        f"error: `{tmp_path}` has 2 labels, and a reward model has one\n\nhint: name a reward model as `judge`"
    )


def test_a_gpu_that_is_not_there_is_a_sentence(judge, refusal):
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is one")
    assert (
        refusal(Reward, judge, "cuda") == "error: `device` is `cuda`, and no GPU is visible\n\nhint: check `nvidia-smi`"
    )
