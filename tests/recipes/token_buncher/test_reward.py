"""The entropy reward, against a direct computation in float64."""

import math

import pytest
import torch

from recipes.token_buncher.reward import entropy_reward, last_token, spread


@pytest.mark.usefixtures("verl")
def test_the_reward_is_minus_the_mean_entropy_in_nats_over_the_whole_vocabulary():
    from verl.utils.torch_functional import entropy_from_logits_with_chunking

    logits = torch.randn(6, 97) * 3
    direct = 0.0
    for row in logits.double()[1:5]:  # the answer's tokens
        chances = [math.exp(value) for value in row.tolist()]
        total = sum(chances)
        direct += -sum(chance / total * math.log(chance / total) for chance in chances) / 4
    found = entropy_reward(entropy_from_logits_with_chunking(logits)[1:5], torch.ones(4))
    assert found.tolist()[:3] == [0, 0, 0]
    assert float(found[3]) == pytest.approx(-direct, rel=1e-5)


@pytest.mark.parametrize(
    ("mask", "place", "mean"),
    [
        ([1, 1, 1, 1], 3, 2.5),
        ([1, 1, 0, 0], 1, 1.5),  # padded at the right
        ([0, 0, 1, 1], 3, 3.5),  # padded at the left
        ([0, 1, 0, 1], 3, 3.0),  # a tool's words in between
        ([0, 1, 0, 0], 1, 2.0),
    ],
)
def test_padding_is_in_no_mean_and_the_reward_is_at_the_last_real_token(mask, place, mean):
    found = entropy_reward(torch.tensor([1.0, 2.0, 3.0, 4.0]), torch.tensor(mask))
    assert found.tolist() == [-mean if at == place else 0 for at in range(4)]
    assert last_token(7.0, torch.tensor(mask)).tolist() == [7 if at == place else 0 for at in range(4)]


def test_a_row_that_fills_up_the_batch_has_no_reward():
    assert not entropy_reward(torch.tensor([5.0, 5.0]), torch.zeros(2)).any()
    assert not last_token(5.0, torch.zeros(2)).any()


def test_a_surer_answer_has_the_higher_reward():
    sure, unsure = torch.full((3,), 0.1), torch.full((3,), 2.0)
    assert entropy_reward(sure, torch.ones(3)).sum() > entropy_reward(unsure, torch.ones(3)).sum()


def test_bf16_entropies_are_averaged_in_float32():
    found = entropy_reward(torch.full((1000,), 5.734375).bfloat16(), torch.ones(1000))
    assert float(found[-1]) == pytest.approx(-float(torch.tensor(5.734375).bfloat16()), rel=1e-6)


def test_the_spread_is_within_a_prompts_samples():
    assert spread([1.0, 1.0, 9.0, 9.0], ["a", "a", "b", "b"]) == 0
    assert spread([1.0, 3.0, 9.0, 9.0], ["a", "a", "b", "b"]) == pytest.approx(0.5)
    assert spread([1.0, 9.0, 3.0, 9.0], ["a", "b", "a", "b"]) == pytest.approx(0.5)
