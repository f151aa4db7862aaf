import pytest
import torch
import torch.nn.functional as F

pytestmark = pytest.mark.usefixtures("verl")


def batch(values: list[torch.Tensor], real: list[bool], tokens: int, ranks: int = 1):
    """A micro batch as verl's engine hands it over: ragged values, and the scored tokens marked."""
    masks = []
    for value, is_real in zip(values, real, strict=True):
        mask = torch.zeros(len(value), dtype=torch.int64)
        mask[-1] = int(is_real)
        masks.append(mask)
    return {"values": ragged(values)}, {"loss_mask": ragged(masks), "batch_num_tokens": tokens, "dp_size": ranks}


def ragged(rows: list[torch.Tensor]) -> torch.Tensor:
    return torch.nested.as_nested_tensor(rows, layout=torch.jagged)


def pairs(count: int, seed: int = 0) -> list[torch.Tensor]:
    draws = torch.Generator().manual_seed(seed)
    lengths = torch.randint(2, 9, (2 * count,), generator=draws).tolist()
    return [torch.randn(length, generator=draws, requires_grad=True) for length in lengths]


def direct(values: list[torch.Tensor]) -> torch.Tensor:
    """The mean over the pairs in float64, from the formula."""
    scores = torch.stack([value[-1].double() for value in values])
    return -torch.log(1 / (1 + torch.exp(-(scores[1::2] - scores[0::2])))).mean()


def run(values, real, micro: int, ranks: int):
    """Loss, metrics and gradients as verl forms them: micro batches are summed, ranks averaged."""
    from recipes.gad.loss import bradley_terry

    tokens, total, sums = sum(real), 0.0, {}
    share = len(values) // ranks
    for rank in range(ranks):
        for start in range(rank * share, (rank + 1) * share, micro):
            rows = slice(start, start + micro)
            loss, metrics = bradley_terry(*batch(values[rows], real[rows], tokens, ranks))
            total = total + loss / ranks
            for name, metric in metrics.items():
                sums[name] = sums.get(name, 0.0) + metric.aggregate() / ranks
    return total, sums, torch.autograd.grad(total, values)


@pytest.mark.parametrize(("micro", "ranks"), [(16, 1), (2, 1), (4, 2), (2, 4)])
def test_loss_and_gradient_are_the_formulas_however_the_batch_is_split(micro, ranks):
    values = pairs(8)
    loss, sums, gradients = run(values, [True] * 16, micro, ranks)
    expected = direct(values)
    torch.testing.assert_close(loss.double(), expected, atol=1e-6, rtol=0)
    assert sums["d_loss"] == pytest.approx(expected.item(), abs=1e-6)
    for mine, theirs in zip(gradients, torch.autograd.grad(expected, values), strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-6, rtol=0)


def test_metrics_are_means_over_all_pairs():
    values = pairs(8)
    _, sums, _ = run(values, [True] * 16, micro=4, ranks=2)
    scores = torch.stack([value[-1] for value in values])
    student, teacher = scores[0::2], scores[1::2]
    assert sums["d_acc"] == pytest.approx((teacher > student).float().mean().item())
    assert sums["student_value"] == pytest.approx(student.mean().item(), abs=1e-6)
    assert sums["teacher_value"] == pytest.approx(teacher.mean().item(), abs=1e-6)


@pytest.mark.parametrize("micro", [2, 12])
def test_filled_in_pairs_change_nothing_and_get_no_gradient(micro):
    values = pairs(6)
    real = [True] * 8 + [False] * 4
    loss, _, gradients = run(values, real, micro, ranks=1)
    torch.testing.assert_close(loss.double(), direct(values[:8]), atol=1e-6, rtol=0)
    assert all(not gradient.any() for gradient in gradients[8:])


def test_a_bfloat16_score_is_compared_in_float32():
    from recipes.gad.loss import bradley_terry

    student, teacher = (torch.tensor([0.0, score], dtype=torch.bfloat16) for score in (100.0, -100.0))
    loss, _ = bradley_terry(*batch([student, teacher], [True, True], 2))
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(F.softplus(torch.tensor(200.0)).item())
