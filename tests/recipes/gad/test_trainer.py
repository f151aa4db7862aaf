import pytest
import torch

from recipes.gad.metrics import rouge_l

pytestmark = pytest.mark.usefixtures("verl")


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    from transformers import AutoTokenizer

    from recipes.common.model import tiny

    folder = tmp_path_factory.mktemp("tiny")
    tiny.save(folder, ["the word is plum", "say the word"])
    return AutoTokenizer.from_pretrained(folder)


def test_a_teachers_text_is_plain_tokens_and_the_end(tokenizer):
    from recipes.gad.loss import teacher_ids

    ids = teacher_ids(tokenizer, "the word is plum", 100)
    assert ids[-1] == tokenizer.eos_token_id
    assert tokenizer.decode(ids[:-1]) == "the word is plum"


@pytest.mark.parametrize("limit", [1, 2])
def test_a_text_cut_at_the_limit_has_no_end(tokenizer, limit):
    from recipes.gad.loss import teacher_ids

    ids = teacher_ids(tokenizer, "say say say say", limit)
    assert len(ids) == limit and tokenizer.eos_token_id not in ids


def test_a_text_of_just_the_limit_is_cut_of_its_end(tokenizer):
    from recipes.gad.loss import teacher_ids

    length = len(teacher_ids(tokenizer, "the word", 100)) - 1
    assert teacher_ids(tokenizer, "the word", length)[-1] != tokenizer.eos_token_id
    assert teacher_ids(tokenizer, "the word", length + 1)[-1] == tokenizer.eos_token_id


def test_sft_is_on_the_teachers_tokens_alone():
    from recipes.gad.loss import sft_row

    row = sft_row(torch.tensor([5, 6]), torch.tensor([7, 8, 9]))
    assert row["input_ids"].tolist() == [5, 6, 7, 8, 9]
    assert row["loss_mask"].tolist() == [0, 0, 1, 1, 1]
    assert row["position_ids"].tolist() == [0, 1, 2, 3, 4]


def test_the_score_is_at_the_last_token_of_real_rows():
    from recipes.gad.loss import scored_row

    assert scored_row(torch.tensor([5]), torch.tensor([7, 8]), real=True)["loss_mask"].tolist() == [0, 0, 1]
    assert scored_row(torch.tensor([5]), torch.tensor([7, 8]), real=False)["loss_mask"].tolist() == [0, 0, 0]


def test_the_reward_is_the_sequences_last_value_at_the_last_token():
    from recipes.gad.loss import last_token_score

    values = torch.tensor([9.0, 9.0, 9.0, 0.25], dtype=torch.bfloat16)
    assert last_token_score(values, torch.tensor([1, 1])).tolist() == [0.0, 0.25]
    assert last_token_score(values, torch.tensor([0])).tolist() == [0.0]


def test_group_advantages_are_those_of_the_paper():
    """(r - mean) / (std + 1e-6) within each prompt's samples; verl's function, as the trainer calls it."""
    from verl.trainer.ppo.core_algos import compute_grpo_outcome_advantage

    rewards = torch.tensor([[0.0, 1.0], [0.0, 3.0], [0.0, 2.0], [0.0, 2.5]])
    mask = torch.ones(4, 2)
    advantages, _ = compute_grpo_outcome_advantage(rewards, mask, index=["a", "a", "b", "b"])
    for rows in ([0, 1], [2, 3]):
        scores = rewards[rows].sum(-1).double()
        expected = (scores - scores.mean()) / (scores.std() + 1e-6)
        torch.testing.assert_close(advantages[rows, 0].double(), expected, atol=1e-6, rtol=0)


def test_ranks_get_equal_work_and_pairs_stay_together(monkeypatch):
    from recipes.common.verl import batches
    from recipes.gad.loss import scored_row

    monkeypatch.setattr(batches.tq, "kv_batch_put", lambda **given: None)
    rows = [scored_row(torch.arange(4), torch.arange(3 + 5 * (place // 2) + place % 2), True) for place in range(8)]
    batch = batches.put(rows, group=2, ranks=2, instructions={"force_group_size": 2})
    lengths = [tag["seq_len"] for tag in batch.tags]
    assert sorted(lengths) == sorted(len(row["input_ids"]) for row in rows)
    assert all(second == first + 1 for first, second in zip(lengths[0::2], lengths[1::2], strict=True))
    assert abs(sum(lengths[:4]) - sum(lengths[4:])) <= 10
    assert batch.extra_info["mini_batch_size"] == batch.extra_info["global_batch_size"] == 8


@pytest.mark.parametrize(
    ("text", "teacher", "score"),
    [("the cat sat", "the cat sat", 1.0), ("a b c d", "A x C y", 0.5), ("", "word", 0.0), ("?!", "!", 2 / 3)],
)
def test_rouge_l_is_the_f1_of_the_longest_common_subsequence(text, teacher, score):
    assert rouge_l(text, teacher) == pytest.approx(score)
