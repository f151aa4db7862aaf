"""The parts of the training, each for itself, on one rank."""

from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file, save_file

from recipes.common.distributed.ranks import Ranks, join_group
from recipes.common.stage.command import Mistake
from recipes.honest_persona import adapter, checkpoints, evaluate, train, trainer
from recipes.honest_persona.adapter import TARGETS, LoraMask, adapter_parameters, build, lora_config
from recipes.honest_persona.batch import learnt_part, prompt_batch, training_batch
from recipes.honest_persona.dataset import Row, read_rows
from recipes.honest_persona.form import read_form
from recipes.honest_persona.settings import Settings
from recipes.honest_persona.sharding import count_unsharded, decoder_layers
from recipes.honest_persona.trainer import Length, Trainer, length_of
from recipes.honest_persona.training_loop import Loop

ALONE = Ranks(0, 1, torch.device("cpu"))


@pytest.fixture
def made(model):
    """A model with an adapter that says something."""
    found = build(model, lora_config(4, None, 0.0), 1, ALONE)
    with torch.no_grad():
        for name, one in adapter_parameters(found).items():
            if "lora_B" in name:
                torch.nn.init.normal_(one, std=0.5)
    return found.eval()


def row(tokens, prompt, learnt, persona):
    return Row("", "a", "A", "PASS", tokens, prompt, learnt, persona)


SHORT, LONG = row([7, 0, 8, 9, 0], 3, 2, 1), row([5, 6, 0, 3, 4, 2, 1], 4, 3, 2)


def test_padding_is_known_by_lengths_and_not_by_a_token_s_value():
    batch = training_batch([SHORT, LONG])
    assert batch.attention.tolist() == [[1, 1, 1, 1, 1, 0, 0], [1] * 7]
    assert batch.tokens.tolist() == [[7, 0, 8, 9, 0, 0, 0], LONG.tokens]
    assert batch.loss.tolist() == [[0, 0, 1, 1, 0, 0, 0], [0, 0, 0, 1, 1, 1, 0]]
    assert batch.lora.tolist() == [[0, 1, 1, 1, 1, 0, 0], [0, 0, 1, 1, 1, 1, 1]]
    assert learnt_part(batch) == 5
    prompts = prompt_batch([SHORT, LONG])
    assert prompts.tokens.tolist() == [[0, 7, 0, 8], [5, 6, 0, 3]]
    assert prompts.attention.tolist() == [[0, 1, 1, 1], [1, 1, 1, 1]]
    assert prompts.lora.tolist() == [[0, 0, 1, 1], [0, 0, 1, 1]]


def test_the_loss_is_that_of_the_learnt_tokens_alone(made, settings):
    trainer = Trainer(made, Settings(**settings("train", activation_checkpointing=False)), ALONE, False)
    made.eval()
    found = float(trainer._loss_sum(training_batch([SHORT, LONG])).detach())
    expected = 0.0
    for one in (SHORT, LONG):
        logs = made(torch.tensor([one.tokens])).logits[0].detach().log_softmax(-1)
        places = range(one.prompt, one.prompt + one.learnt)
        expected -= sum(float(logs[place - 1, one.tokens[place]]) for place in places)
    assert found == pytest.approx(expected, abs=1e-4)


def test_micro_batches_give_the_same_step(model, prepared, settings):
    rows, found = read_rows(prepared / "train.parquet"), []
    for size in (16, 4):
        values = Settings(**settings("train", micro_batch=size))
        built = build(model, lora_config(4, None, 0.0), 1, ALONE)
        trainer = Trainer(built, values, ALONE, False)
        length = length_of(len(rows), values, 1)
        found.append([trainer.step(step, length, rows)["loss"] for step in (1, 2, 3)])
    assert found[0] == pytest.approx(found[1], abs=1e-5) and found[0][2] < found[0][0]


def test_seven_projections_of_every_layer_learn_and_nothing_else(made):
    names = {name.split(".lora_")[0].rpartition(".")[2] for name in adapter_parameters(made)}
    assert names == set(TARGETS) and len(adapter_parameters(made)) == 2 * 7 * 2
    assert all("lora_" in name for name, one in made.named_parameters() if one.requires_grad)


def test_a_masked_adapter_does_nothing_before_the_persona_and_all_from_there(made):
    batch = training_batch([LONG])
    whole = made(batch.tokens).logits
    mask = LoraMask(made)
    assert torch.equal(made(batch.tokens).logits, whole)
    mask.set(batch.lora)
    masked = made(batch.tokens).logits
    mask.set(torch.zeros_like(batch.lora))
    bare = made(batch.tokens).logits
    assert torch.equal(masked[:, :2], bare[:, :2]) and not torch.allclose(whole[:, :2], bare[:, :2], atol=1e-3)
    assert not torch.allclose(masked[:, 2:], bare[:, 2:], atol=1e-3)
    mask.set(torch.ones_like(batch.lora))
    assert torch.equal(made(batch.tokens).logits, whole)
    mask.set(torch.zeros_like(batch.lora))
    mask.remove()
    assert torch.equal(made(batch.tokens).logits, whole)


def test_a_masked_adapter_generates_as_it_was_trained(made):
    """With a KV cache, token by token, and in one piece without: the same logits."""
    batch = training_batch([LONG])
    mask = LoraMask(made)
    mask.set(batch.lora)
    at_once = made(batch.tokens).logits[:, 3:]
    mask.set(batch.lora[:, :4])
    step = made(batch.tokens[:, :4], use_cache=True)
    pieces, cache = [step.logits[:, -1:]], step.past_key_values
    for place in range(4, 7):
        step = made(batch.tokens[:, place : place + 1], past_key_values=cache, use_cache=True)
        pieces.append(step.logits)
    assert torch.allclose(torch.cat(pieces, 1), at_once, atol=1e-5)


def test_a_masked_step_learns_with_recomputed_activations_as_without(model, prepared, settings):
    rows, found = read_rows(prepared / "train.parquet"), []
    for recompute in (True, False):
        values = Settings(**settings("train", activation_checkpointing=recompute))
        trainer = Trainer(build(model, lora_config(4, None, 0.0), 1, ALONE), values, ALONE, True)
        length = length_of(len(rows), values, 1)
        found.append([trainer.step(step, length, rows)["loss"] for step in (1, 2, 3)])
    assert found[0] == pytest.approx(found[1], abs=1e-5)


def test_epochs_end_when_their_rows_were_seen():
    assert Length(10, 4, 5).epoch_ends == {3: 1, 5: 2}
    assert Length(10, 4, 4).epoch_ends == {3: 1, 4: 2}
    assert Length(16, 16, 2).epoch_ends == {1: 1, 2: 2}
    assert Length(100, 10, 3).epoch_ends == {3: 1}


def test_a_training_of_no_steps_is_refused(refusal, settings):
    values = Settings(**settings("train", epochs=0.5))
    assert refusal(length_of, 20, values, 2) == (
        "error: 20 rows, `epochs` 0.5 and a batch of 32 on 2 ranks give no step\n\n"
        "hint: give more data, or a smaller `batch_size`"
    )


def test_the_decoder_s_layers_are_found_by_looking(made, refusal):
    assert [type(one).__name__ for one in decoder_layers(made)] == ["Qwen2DecoderLayer"] * 2
    made.config.num_hidden_layers = 3
    assert refusal(decoder_layers, made) == (
        "error: `Qwen2ForCausalLM` has 0 lists of 3 equal layers, so its decoder is not clear\n\n"
        "hint: use a model with one decoder"
    )


def test_a_model_that_is_not_sharded_is_noticed(made):
    both = Ranks(0, 2, torch.device("cpu"))
    assert count_unsharded(made, ALONE) == 0
    assert count_unsharded(made, both) == len(list(made.parameters())) + 1 + 2


def test_a_sharding_that_is_silently_off_ends_the_training(made, settings, monkeypatch, refusal):
    monkeypatch.setattr(trainer, "shard", lambda *_: None)
    both = Ranks(0, 2, torch.device("cpu"))
    count = len(list(made.parameters())) + 1 + 2
    assert refusal(Trainer, made, Settings(**settings("train")), both, False) == (
        f"error: {count} parameters or layers are not sharded over 2 ranks\n\n"
        "hint: train on one GPU, or use another model"
    )


def test_a_loss_that_is_no_number_ends_the_training(refusal):
    metrics = {"loss": float("nan"), "grad_norm": 1.0}
    assert refusal(Loop._report, SimpleNamespace(), 3, metrics, None) == (
        "error: `loss` is nan in step 3\n\nhint: set `lr` lower, and start a new run"
    )


def test_an_adapter_of_other_weights_is_not_loaded(made, prepared, tmp_path, refusal):
    optimizer = torch.optim.AdamW(list(adapter_parameters(made).values()), fused=False)
    for name in ("adapter", "optimizer"):
        (tmp_path / name).mkdir()
    args = {"base": {"repo": "tiny", "revision": None}, "settings": {}, "step": 3}
    checkpoints.save_adapter(made, lora_config(4, None, 0.0), read_form(prepared), args, tmp_path / "adapter", ALONE)
    file = tmp_path / "adapter/adapter_model.safetensors"
    save_file(dict(list(load_file(file).items())[1:]), file)
    save_file({}, tmp_path / "optimizer/optimizer.safetensors")
    assert refusal(checkpoints.load, made, optimizer, tmp_path, 3) == (
        f"error: `{tmp_path}` holds an adapter for other weights than this model's\n\n"
        "hint: start again with an empty work folder"
    )


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_a_stage_that_wants_one_says_so(write, model, prepared, tmp_path, refusal):
    says = "error: `device` is `cuda`, and no GPU is visible\n\nhint: check `nvidia-smi`"
    folders = ["--data", prepared, "--out", tmp_path / "out", "--work", tmp_path / "work"]
    words = [write("train", device="cuda", ranks=None), "--model", model, *folders]
    assert refusal(train.main, [str(word) for word in words]) == says
    words = [write("evaluate", device="cuda"), "--before", model, "--after", model, *folders]
    assert refusal(evaluate.main, [str(word) for word in words]) == says
    with pytest.raises(Mistake) as caught, join_group("cuda"):
        pass
    assert caught.value.error == "`device` is `cuda`, and 0 GPUs are visible to rank 0 of this machine"


def test_what_computes_where():
    assert adapter.dtype_of(ALONE) == torch.float32
    assert adapter.dtype_of(Ranks(0, 1, torch.device("cuda"))) == torch.bfloat16
