"""SFT and DPO by real TRL on tiny models: what is trained on, and that a kill or a stop changes no loss."""

import json
import signal
from itertools import pairwise

import pytest

from recipes.common.checkpoint.difference import largest_change
from recipes.common.checkpoint.hf_tensors import open_stored
from recipes.common.stage.command import StageError
from recipes.common.trl.rows import check_pairs
from recipes.synthetic_instruct import dpo, merge_adapter, sft
from recipes.synthetic_instruct.settings import DpoSettings, SftSettings
from recipes.synthetic_instruct.training import check_chats, read_rows

from .stages import DPO, FULL, SFT, command, disturb, finish, progress

ROWS = 16


@pytest.fixture(scope="module")
def pairs(chats, tmp_path_factory):
    """SFT's rows and DPO's."""
    folder = tmp_path_factory.mktemp("pairs")
    rows = [{"index": place, "instruction": asked, "response": said} for place, (asked, said) in enumerate(chats)]
    choices = [row | {"chosen": row["response"], "rejected": other["response"]} for row, other in pairwise(rows)]
    for name, made in {"sft": rows, "dpo": choices}.items():
        (folder / name).mkdir()
        for split, part in {"train": made[:ROWS], "eval": made[ROWS : ROWS + 4]}.items():
            (folder / name / f"{split}.jsonl").write_text("".join(json.dumps(one) + "\n" for one in part))
    return folder


def losses(folder):
    return [(entry["step"], entry["loss"]) for entry in json.loads((folder / "out/history.json").read_text())]


def numbers(folder):
    return json.loads((folder / "out/metrics.json").read_text())


def saved(folder, count=1):
    return lambda: sum("checkpoint" in line for line in progress(folder)) >= count


@pytest.mark.parametrize("stage", ["sft", "dpo"])
def test_stopped_and_killed_it_ends_with_the_same_losses(base, pairs, tmp_path, stage):
    settings = {"sft": SFT, "dpo": DPO}[stage]
    places = {"model": base, "data": pairs / stage}
    finish(command(stage, settings, tmp_path / "whole", **places))
    words = command(stage, settings, tmp_path / "torn", **places)
    disturb(words, signal.SIGTERM, saved(tmp_path / "torn"))
    disturb(words, signal.SIGKILL, saved(tmp_path / "torn", 3))
    output = finish(words)
    assert "going on from checkpoint-" in output
    whole, torn = numbers(tmp_path / "whole"), numbers(tmp_path / "torn")
    assert losses(tmp_path / "torn") == losses(tmp_path / "whole")
    assert torn["eval_loss"] == whole["eval_loss"] and torn["adapter_change"] == whole["adapter_change"] > 0
    steps = {"sft": 20, "dpo": 32}[stage]
    assert (whole["steps"], whole["steps_left"], len(losses(tmp_path / "whole"))) == (steps, 0, steps)
    assert 0 < whole["steps_after_warmup"] < steps
    assert whole["loss_last"] < whole["loss_first"]
    assert whole["memory_peak_gb"] > 0 < whole["memory_predicted_gb"]


def trainer_of(module, kind, settings, base, pairs, tmp_path):
    rows = read_rows(pairs)
    made = kind(**settings)
    chat = check_chats(base, made, [])
    if module is sft:
        rows = {name: [(row["instruction"], row["response"]) for row in part] for name, part in rows.items()}
    return module.make_trainer(base, made, chat, rows, tmp_path), chat


def test_sft_trains_on_the_assistant_s_words_and_the_end_of_its_turn(base, pairs, chats, tmp_path):
    trainer, chat = trainer_of(sft, SftSettings, SFT, base, pairs / "sft", tmp_path)
    batch = trainer.data_collator([trainer.train_dataset[place] for place in range(4)])
    for place in range(4):
        learnt = [token for token in batch["labels"][place].tolist() if token != -100]
        assert chat.tokenizer.decode(learnt) == f"{chats[place][1]}<|im_end|>"
    text = chat.tokenizer.decode(trainer.train_dataset[0]["input_ids"])
    assert text == f"<|im_start|>user\n{chats[0][0]}<|im_end|>\n<|im_start|>assistant\n{chats[0][1]}<|im_end|>\n"


def test_dpo_compares_two_answers_to_one_prompt(base, pairs, chats, tmp_path):
    trainer, chat = trainer_of(dpo, DpoSettings, DPO, base, pairs / "dpo", tmp_path)
    row = trainer.train_dataset[0]
    asked, chosen, rejected = (chat.tokenizer.decode(row[f"{name}_ids"]) for name in ("prompt", "chosen", "rejected"))
    assert asked == f"<|im_start|>user\n{chats[0][0]}<|im_end|>\n<|im_start|>assistant\n"
    assert (chosen, rejected) == (f"{chats[0][1]}<|im_end|>\n", f"{chats[1][1]}<|im_end|>\n")
    assert trainer.ref_model is None and list(trainer.model.peft_config) == ["default"]


def test_four_bits_keep_an_adapter_of_float32(base, pairs, tmp_path):
    import torch

    from recipes.common.stage.command import StopSignal
    from recipes.common.trl.training import train

    settings = SFT | {"nf4": True, "epochs": 1.0}
    trainer, _ = trainer_of(sft, SftSettings, settings, base, pairs / "sft", tmp_path)
    assert "Linear4bit" in {type(one).__name__ for one in trainer.model.modules()}
    before = signal.getsignal(signal.SIGTERM)
    try:
        trained = train(trainer, tmp_path, StopSignal())
    finally:
        signal.signal(signal.SIGTERM, before)
    assert {one.dtype for one in trainer.model.parameters() if one.requires_grad} == {torch.float32}
    assert len(trained.history) == trained.steps == 2


def test_a_full_fine_tuning_changes_the_weights_and_leaves_a_model(base, pairs, tmp_path):
    whole, merged = tmp_path / "whole", tmp_path / "merged"
    before = signal.getsignal(signal.SIGTERM)
    try:  # in this process: starting two more takes longer than they work
        sft.main(command("sft", FULL | {"epochs": 2.0}, whole, model=base, data=pairs / "sft")[3:])
    finally:
        signal.signal(signal.SIGTERM, before)
    found = numbers(whole)
    stored = [one.numel for one in open_stored(base).values()]
    assert found["trained_parameters"] == sum(stored) and found["loss_last"] < found["loss_first"]
    assert found["model_change"] == largest_change(base, whole / "out/model") > 0
    assert found["memory_peak_gb"] > 0 < found["memory_predicted_gb"] and "memory_adapter_gb" not in found
    settings = {"device": "cpu", "template": "chatml", "export_dtype": "float32"}
    merge_adapter.main(command("merge", settings, merged, base=base, training=whole / "out")[3:])
    assert largest_change(whole / "out/model", merged / "out") == 0
    assert {"config.json", "tokenizer.json", "chat_template.jinja"} <= {one.name for one in (merged / "out").iterdir()}


def test_prompt_tuning_trains_vectors_and_no_weights(base, pairs, tmp_path):
    finish(command("sft", SFT | {"method": "prompt", "epochs": 2.0}, tmp_path, model=base, data=pairs / "sft"))
    found = numbers(tmp_path)
    assert found["trained_parameters"] == 4 * 64 and found["method"] == "prompt" and found["adapter_change"] > 0


def test_equal_answers_and_no_rows_are_sentences(write, refusal):
    same = {"instruction": "a", "chosen": "b", "rejected": "b"}
    path = write("data/train.jsonl", [same])
    assert refusal(check_pairs, {"train": [same]}, path.parent) == (
        f"error: `{path}`: line 1: `chosen` and `rejected` are the same\n\n"
        "hint: leave the row out: nothing can be learnt from it"
    )
    path = write("data/eval.jsonl", [])
    with pytest.raises(StageError) as caught:
        read_rows(path.parent)
    assert caught.value.error == f"`{path}` has no rows"
    assert caught.value.hint == "an earlier stage left none: read its report"
