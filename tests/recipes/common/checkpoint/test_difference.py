"""The largest change is found wherever it is, and a NaN is never hidden."""

import math

import pytest
import torch
from safetensors.torch import save_file

from recipes.common.checkpoint import difference
from recipes.common.checkpoint.difference import largest_change
from recipes.common.stage.command import StageError


@pytest.fixture
def base(tmp_path):
    """base({name: tensor}) is a Hugging Face folder."""

    def save(tensors, name="base"):
        (tmp_path / name).mkdir()
        save_file(tensors, tmp_path / name / "model.safetensors")
        return tmp_path / name

    return save


def weights():
    return {f"layer.{i}": torch.full((5, 4), float(i)) for i in range(7)}


@pytest.mark.parametrize("position", [0, 9, 10, 19])
@pytest.mark.parametrize("step", [0.5, -0.5])
def test_one_moved_number_is_found_in_any_block(write_role, base, monkeypatch, position, step):
    monkeypatch.setattr(difference, "BLOCK", 10)
    moved = weights()
    moved["layer.3"].view(-1)[position] += step
    assert largest_change(base(weights()), write_role(moved, (3,), {"layer.3": 1})) == 0.5


def test_nothing_moved_is_zero_between_any_two_kinds_of_folder(write_role, base):
    role, folder = write_role(weights(), (3,)), base(weights())
    for before in (role, folder):
        for after in (role, folder):
            assert largest_change(before, after) == 0


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("layer", [0, 3, 6])
def test_a_value_that_is_no_number_is_not_hidden_by_those_around_it(base, value, layer):
    broken = {name: tensor + 1 for name, tensor in weights().items()}
    broken[f"layer.{layer}"][2, 0] = value
    result = largest_change(base(weights()), base(broken, "after"))
    assert math.isnan(result) if math.isnan(value) else result == value


def test_equal_infinities_are_no_change(base):
    tensors = {"w": torch.tensor([math.inf, 1.0])}
    assert largest_change(base(tensors), base(tensors, "after")) == 0


def test_a_sample_is_evenly_spaced_and_reads_no_more(base, monkeypatch):
    read = []
    monkeypatch.setattr(difference, "largest_difference", lambda one, other: read.append(one.entry.name) or 0.0)
    folder = base({f"layer.{i:02}": torch.ones(1) for i in range(10)})
    largest_change(folder, folder, sample=3)
    assert read == ["layer.00", "layer.03", "layer.06"]
    read.clear()
    largest_change(folder, folder, sample=99)
    assert len(read) == 10


def test_only_names_on_both_sides_and_floating_point_count(write_role, base):
    critic = {"model.w": torch.ones(4), "score.weight": torch.ones(1, 4), "steps": torch.tensor([1])}
    actor = {"model.w": torch.ones(4) + 2, "lm_head.weight": torch.ones(9, 4), "steps": torch.tensor([5])}
    assert largest_change(base(actor), write_role(critic, (2,))) == 2


def test_a_half_precision_export_differs_by_its_rounding(base):
    exact = {"w": torch.tensor([1.0, 1.001])}
    rounded = {"w": exact["w"].bfloat16()}
    assert largest_change(base(exact), base(rounded, "after")) == pytest.approx(0.001, rel=1e-4)


def test_two_models_are_not_compared(base):
    one, other = base({"a": torch.ones(2)}), base({"b": torch.ones(2)}, "after")
    with pytest.raises(StageError) as caught:
        largest_change(one, other)
    assert caught.value.error == f"`{one}` and `{other}` have no tensor in common"
    assert caught.value.hint == "compare two states of one model"


def test_another_shape_is_an_error(base):
    one, other = base({"a": torch.ones(2)}), base({"a": torch.ones(2, 1)}, "after")
    with pytest.raises(StageError) as caught:
        largest_change(one, other)
    assert caught.value.error == f"`a` is `[2]` in `{one}` and `[2, 1]` in `{other}`"
    assert caught.value.hint == "compare two states of one model"
