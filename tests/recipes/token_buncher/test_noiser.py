"""The token noiser's loss, against a direct computation in float64."""

from functools import partial

import pytest
import torch
from tensordict import TensorDict

pytestmark = pytest.mark.usefixtures("verl")

VOCABULARY = 11
ROWS = [([3, 4, 5], [6, 7], [1, 1]), ([8], [9, 10, 2, 1], [1, 0, 1, 1]), ([2, 2], [5], [0])]
"""Prompt, answer, and which of the answer's tokens are labels."""


@pytest.fixture
def noiser():
    from recipes.token_buncher import noiser

    return noiser


def batch_of(rows, dp_size=1, tokens=None) -> TensorDict:
    """A micro batch as verl's engine hands it over."""
    from verl.utils import tensordict_utils as tu

    from recipes.token_buncher.trainer import noiser_row

    made = [
        noiser_row(torch.tensor(prompt), torch.tensor(answer), torch.tensor(learnt).bool(), 100 + place)
        for place, (prompt, answer, learnt) in enumerate(rows)
    ]
    fields = {name: torch.nested.as_nested_tensor([row[name] for row in made], layout=torch.jagged) for name in made[0]}
    data = TensorDict(fields, batch_size=len(made))
    labels = int(sum(sum(learnt) for _, _, learnt in rows))
    tu.assign_non_tensor(data, dp_size=dp_size, batch_num_tokens=labels if tokens is None else tokens)
    return data


def noise_of(seed, count, vocabulary=VOCABULARY, dtype=torch.float64):
    return torch.rand((count, vocabulary), generator=torch.Generator().manual_seed(seed), dtype=dtype)


def direct(logits, label, noise, weights):
    """One token's loss, word by word."""
    logs = logits.log_softmax(-1)
    others = sum(float(noise[word]) for word in range(len(noise)) if word != label)
    blurred = sum(float(noise[word]) / others * -logs[word] for word in range(len(noise)) if word != label)
    return weights[0] * -logs[label] + weights[1] * blurred


def whole_loss(noiser, logits, data, weights):
    """What the engine computes: the numbers at every place, then the loss."""
    loss = partial(noiser.noiser_loss, weights)
    places = loss(student_logits=logits.unsqueeze(0), data=data)["noiser"]
    assert places.shape == (1, len(logits))
    nested = torch.nested.nested_tensor_from_jagged(places.squeeze(0), data["input_ids"].offsets())
    return loss(model_output={"noiser": nested}, data=data)


@pytest.mark.parametrize("chunk", [1, 2, 256])
@pytest.mark.parametrize("form", ["paper", "upstream"])
def test_the_loss_is_that_of_a_direct_computation(noiser, monkeypatch, form, chunk):
    monkeypatch.setattr(noiser, "CHUNK", chunk)
    weights, data = noiser.weights(0.1, form), batch_of(ROWS)
    logits = torch.randn(sum(len(prompt) + len(answer) for prompt, answer, _ in ROWS), VOCABULARY).double()
    loss, metrics = whole_loss(noiser, logits, data, weights)

    expected, start = [], 0
    for place, (prompt, answer, learnt) in enumerate(ROWS):
        noise = noise_of(100 + place, sum(learnt))
        at = 0
        for position, (token, label) in enumerate(zip(answer, learnt, strict=True)):
            if label:
                before = logits[start + len(prompt) + position - 1]
                expected.append(direct(before, token, noise[at], weights))
                at += 1
        start += len(prompt) + len(answer)
    assert float(loss) == pytest.approx(float(torch.stack(expected).mean()), rel=1e-12)
    assert metrics["noiser_loss"].aggregate() == pytest.approx(float(loss))


@pytest.mark.parametrize("chunk", [2, 256])
@pytest.mark.parametrize("form", ["paper", "upstream"])
def test_the_gradient_is_the_losss(noiser, monkeypatch, form, chunk):
    monkeypatch.setattr(noiser, "CHUNK", chunk)
    labels, weights = torch.tensor([1, 3, 0, 5, 2]), noiser.weights(0.3, form)
    rows = [noiser.Row(torch.tensor([0, 1, 2]), 7), noiser.Row(torch.tensor([4]), 8)]
    logits = torch.randn(5, VOCABULARY, dtype=torch.float64, requires_grad=True)

    def losses(given):
        return noiser.BlurredCrossEntropy.apply(given, labels, rows, weights)

    assert torch.autograd.gradcheck(losses, (logits,))
    assert losses(logits)[3] == 0  # no label: no loss, and by gradcheck no gradient


def test_epsilon_weighs_the_noise_once_as_in_the_paper_or_twice_as_in_the_authors_code(noiser):
    assert noiser.weights(0.1, "paper") == pytest.approx((0.9, 0.1))
    assert noiser.weights(0.1, "upstream") == pytest.approx((0.9, 0.01))


def test_the_target_is_a_distribution_whose_tail_is_epsilon(noiser):
    """At the logits of the target itself the gradient is zero; with the authors' weights it is not."""
    labels, rows = torch.tensor([4]), [noiser.Row(torch.tensor([0]), 3)]
    noise = noise_of(3, 1)[0]
    noise[4] = 0
    target = 0.1 * noise / noise.sum()
    target[4] = 0.9
    logits = target.log()[None].clone().requires_grad_(True)
    noiser.BlurredCrossEntropy.apply(logits, labels, rows, noiser.weights(0.1, "paper")).sum().backward()
    assert logits.grad.abs().max() < 1e-12
    logits.grad = None
    noiser.BlurredCrossEntropy.apply(logits, labels, rows, noiser.weights(0.1, "upstream")).sum().backward()
    assert logits.grad.abs().max() > 0.01


def test_draws_depend_on_the_row_alone_not_on_its_neighbours(noiser):
    weights = noiser.weights(0.5, "paper")
    logits = torch.randn(12, VOCABULARY, dtype=torch.float64)
    data = batch_of(ROWS)
    places = noiser.noiser_loss(weights, student_logits=logits[None], data=data)["noiser"][0]
    alone = batch_of(ROWS[:1])
    first = noiser.noiser_loss(weights, student_logits=logits[None, :5], data=alone)["noiser"][0]
    # The row's last place is before no label of its own.
    assert torch.equal(places[:5], first)


def test_ranks_and_micro_batches_add_up_to_the_mean_over_all_labels(noiser):
    weights = noiser.weights(0.1, "paper")
    logits = torch.randn(13, VOCABULARY, dtype=torch.float64)
    parts = {1: (ROWS[:1], logits[:5]), 2: (ROWS[1:], logits[5:])}
    alone = {rank: whole_loss(noiser, part, batch_of(rows), weights)[0] for rank, (rows, part) in parts.items()}
    shares = [
        whole_loss(noiser, part, batch_of(rows, dp_size=2, tokens=5), weights)[0] for rows, part in parts.values()
    ]
    # verl averages over the two ranks; the first has 2 labels and the second 3.
    assert float(sum(shares)) / 2 == pytest.approx(float(alone[1] * 2 + alone[2] * 3) / 5)


def test_a_batch_without_labels_has_no_loss_and_no_gradient(noiser):
    data = batch_of([([1], [2, 3], [0, 0])])
    logits = torch.randn(3, VOCABULARY, requires_grad=True)
    loss, _ = whole_loss(noiser, logits, data, noiser.weights(0.1, "paper"))
    loss.backward()
    assert loss.item() == 0 and not logits.grad.any()


def test_bf16_logits_are_computed_in_float32_and_get_bf16_gradients(noiser):
    labels, rows = torch.tensor([4, 1]), [noiser.Row(torch.tensor([0, 1]), 3)]
    logits = torch.randn(2, VOCABULARY).bfloat16().requires_grad_(True)
    losses = noiser.BlurredCrossEntropy.apply(logits, labels, rows, noiser.weights(0.1, "paper"))
    losses.sum().backward()
    assert losses.dtype == torch.float32 and logits.grad.dtype == torch.bfloat16


def test_a_left_padded_batch_read_right_gives_the_same_loss_and_read_wrong_does_not(noiser):
    """The authors' code feeds left-padded rows without position ids and takes padding as a label; ours has neither.

    GPT-2's positions are absolute, so that wrong ones show.
    """
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    network = GPT2LMHeadModel(GPT2Config(vocab_size=70, n_embd=16, n_layer=1, n_head=2, n_positions=32)).double().eval()
    rows = [([30, 31, 32, 33], [40, 41], [1, 1]), ([50], [60, 61, 62], [1, 1, 1])]
    weights, width = noiser.weights(0.1, "paper"), 4
    with torch.no_grad():
        logits = torch.cat([network(torch.tensor([prompt + answer])).logits[0] for prompt, answer, _ in rows])
        mine, _ = whole_loss(noiser, logits, batch_of(rows), weights)

        padded = [[0] * (width - len(p)) + p + a + [0] * (3 - len(a)) for p, a, _ in rows]
        mask = torch.tensor([[0] * (width - len(p)) + [1] * len(p + a) + [0] * (3 - len(a)) for p, a, _ in rows])
        right = (mask.cumsum(1) - 1).clamp_min(0)
        found = {
            name: _direct_padded(network, padded, mask, places, weights, labels_padding)
            for name, (places, labels_padding) in {
                "right": (right, False),
                "no positions": (torch.arange(width + 3).expand(2, -1), False),
                "padding as a label": (right, True),
            }.items()
        }
    assert float(mine) == pytest.approx(found["right"], rel=1e-9)
    assert abs(float(mine) - found["no positions"]) > 1e-6
    assert abs(float(mine) - found["padding as a label"]) > 1e-4


def _direct_padded(network, padded, mask, places, weights, labels_padding):
    logits = network(torch.tensor(padded), attention_mask=mask, position_ids=places).logits
    losses, prompt = [], 4
    for row in range(2):
        labels = [at for at in range(prompt, prompt + 3) if mask[row, at] or labels_padding]
        noise = noise_of(100 + row, len(labels), logits.shape[-1])
        for number, at in enumerate(labels):
            logs, label = logits[row, at - 1].log_softmax(-1), padded[row][at]
            others = noise[number].clone()
            others[label] = 0
            losses.append(weights[0] * -logs[label] - weights[1] * (others / others.sum() * logs).sum())
    return float(torch.stack(losses).mean())


def test_a_noiser_row_has_labels_in_its_answer_alone():
    from recipes.token_buncher.trainer import noiser_row

    row = noiser_row(torch.tensor([5, 6]), torch.tensor([7, 8, 9]), torch.tensor([True, False, True]), 3)
    assert row["input_ids"].tolist() == [5, 6, 7, 8, 9]
    assert row["position_ids"].tolist() == [0, 1, 2, 3, 4]
    assert row["loss_mask"].tolist() == [0, 0, 1, 0, 1]
