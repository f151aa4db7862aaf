"""The prepared data is what the settings ask for, with a report of what was dropped and why."""

import json
from collections import Counter

import pytest

from recipes.common.data.tokens import Tokens
from recipes.honest_persona import prepare, schema, show
from recipes.honest_persona.dataset import read_rows
from recipes.honest_persona.form import read_form
from recipes.honest_persona.preflight import template
from recipes.honest_persona.tokenize import Coder, sp_token

from .conftest import SAMPLE

TRAINED, CROSS = {"confidence_assessment", "sycophancy"}, "fabricated_statistics"


@pytest.fixture
def run(write, model, tmp_path):
    """`run(key=value)` prepares the sample, with other settings or `data`, and returns the folder."""

    def run(data=SAMPLE, **changed):
        out = tmp_path / "out"
        words = [write("prepare", **changed), "--data", data, "--model", model, "--out", out]
        prepare.main([str(word) for word in words])
        return out

    return run


def rows_of(folder):
    return {name: read_rows(folder / f"{name}.parquet") for name in ("train", "val")}


def test_a_trained_topic_is_held_out_in_part_and_another_never_trained_on(prepared):
    rows = rows_of(prepared)
    assert {row.topic for row in rows["train"]} == TRAINED
    assert Counter(row.topic for row in rows["val"]) == dict.fromkeys([*TRAINED, CROSS], 13)
    assert not {row.id for row in rows["train"]} & {row.id for row in rows["val"]}
    assert {row.flag for row in rows["val"]} == {"PASS", "FAIL"}


def test_the_report_accounts_for_every_sample(prepared):
    report = json.loads((prepared / "report.json").read_text())
    for topic, one in report["topics"].items():
        assert one["read"] == one["train"] + one["val"] + sum(one["dropped"].values()), topic
    dropped = report["topics"]["sycophancy"]["dropped"]
    assert dropped["tagged `unclear_a_b_separation`"] == 8 and dropped["of another intervention type"] == 18
    assert report["tags"]["confidence_below_4"] == {"filtered": True, "samples": 9}
    assert report["tags"]["confidence_below_5"] == {"filtered": False, "samples": 9}
    assert report["kept"] == {name: len(rows) for name, rows in rows_of(prepared).items()}
    metrics = json.loads((prepared / "metrics.json").read_text())
    assert (metrics["train_rows"], metrics["val_rows"]) == (report["kept"]["train"], report["kept"]["val"])
    assert 0 < metrics["shared_tasks"] == report["shared_tasks"] <= 26


def test_the_same_data_gives_the_same_bytes(prepared, run):
    again = run()
    for name in ("train.parquet", "val.parquet", "persona.json", "report.json", "metrics.json"):
        assert (again / name).read_bytes() == (prepared / name).read_bytes(), name


def test_only_a_part_can_be_used(prepared, run):
    whole, rows = rows_of(prepared), rows_of(run(claude_frac=0.5))
    assert Counter(row.topic for row in whole["train"]) == dict.fromkeys(TRAINED, 83)
    assert Counter(row.topic for row in rows["train"]) == dict.fromkeys(TRAINED, 41) and len(rows["val"]) == 39


def test_system_prompts_can_be_left_out(run, model):
    out = run(exclude_system_prompt=True)
    coder = Coder(Tokens(model).tokenizer, read_form(out))
    text = coder.decode(rows_of(out)["train"][0].tokens)
    assert text.startswith("<|im_start|>system\nYou are a helpful assistant.<|im_end|>")  # the template's own
    assert "never admit doubt" not in text


def test_another_intervention_type_is_another_data_set(run):
    out = run(intervention_type=["honesty_scare"], elicitation_type="ur", val_samples_per_topic=2)
    rows = rows_of(out)
    assert {row.id.rpartition("/")[2] for row in rows["train"]} == {"honesty_scare__version_1"}


def test_sequences_that_are_too_long_are_dropped_and_counted(run):
    out = run(seq_len=100)
    assert max(len(row.tokens) for row in rows_of(out)["train"]) <= 100
    report = json.loads((out / "report.json").read_text())
    assert sum(one["dropped"].get("over 100 tokens", 0) for one in report["topics"].values()) > 10


def test_dummy_data_is_random_and_wholly_learnt(run):
    rows = rows_of(run(use_dummy_data=True, seq_len=32))
    assert (len(rows["train"]), len(rows["val"])) == (1024, 0)
    assert {len(row.tokens) for row in rows["train"]} == {32}
    assert rows["train"][0].sequence.loss_mask == [1] * 31 + [0]
    assert rows["train"][0].tokens != rows["train"][1].tokens


def test_a_sample_with_the_text_of_a_special_token_is_dropped(run, tmp_path):
    lines = [json.loads(line) for line in SAMPLE.read_text().splitlines()]
    lines[0]["data"][0]["T"] += " <|im_end|>"
    (tmp_path / "data.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    report = json.loads((run(tmp_path / "data.jsonl") / "report.json").read_text())
    assert report["topics"]["confidence_assessment"]["dropped"]["holds the text of a special token"] == 2


def test_a_reserved_token_that_texts_have_is_refused(run, refusal, model):
    used = Tokens(model).tokenizer(":")["input_ids"][0]
    said = refusal(lambda: run(sp_token=used))
    assert said.startswith(f"error: `sp_token` is `{used}`, which the texts of `")
    assert said.endswith("` have too\n\nhint: set `sp_token` to the id of a token that no text has")


def test_a_reserved_token_that_the_model_lacks_or_needs_is_refused(refusal, model):
    tokenizer = Tokens(model).tokenizer
    assert refusal(sp_token, tokenizer, 512, 512) == (
        "error: `sp_token` is `512`, and the model has 512 tokens\n\nhint: name one of them"
    )
    end = tokenizer.eos_token_id
    assert refusal(sp_token, tokenizer, end, 512) == (
        f"error: `sp_token` is `{end}`, which is `<|im_end|>`\n\nhint: give the id of an unused token"
    )
    assert refusal(sp_token, tokenizer, None, 3) == (
        "error: the model's vocabulary has no unused token\n\n"
        "hint: set `sp_token` to the id of a token that your texts never have"
    )


def test_an_unknown_topic_is_refused(run, refusal):
    assert refusal(lambda: run(train_topics=["sycofancy"])) == (
        f"error: `train_topics` has `sycofancy`, which is not a topic of `{SAMPLE}`\n\n"
        "hint: its topics are `confidence_assessment`, `fabricated_statistics`, `sycophancy`"
    )


def test_when_nothing_is_left_the_report_says_why(run, refusal):
    said = refusal(lambda: run(intervention_type=["nothing"]))
    assert said.startswith(f"error: `{SAMPLE}`: no sample is left to train on\ntopic")
    assert "  130 dropped: of another intervention type\n" in said
    assert said.endswith(
        "hint: read above what was dropped; check `train_topics`, `intervention_type` and `tags_to_filter`"
    )


def test_all_topics_are_used_where_none_is_named(run):
    rows = rows_of(run(train_topics=[], validation_topics=[]))
    assert {row.topic for row in rows["train"]} == {row.topic for row in rows["val"]} == {*TRAINED, CROSS}


def test_a_row_is_shown_with_its_masks(prepared, model, capsys):
    show.main([str(prepared), "--model", str(model), "--row", "1"])
    facts, *lines = capsys.readouterr().out.splitlines()
    row = rows_of(prepared)["train"][1]
    assert facts == f"{row.id}  {row.topic}  expects {row.flag}  {len(row.tokens)} tokens, {row.learnt} learnt"
    text = "\n".join(lines)
    assert (
        "< INTERVENTION: " in text.replace("�", "")
        and "{\nREVIEW: " in text
        and f"FLAG: {row.flag}<|im_end|>}}(\n)" in text
    )
    loss, lora = lines[-2:]
    assert loss == "loss " + "".join(map(str, row.sequence.loss_mask))
    assert lora == "lora " + "".join(map(str, row.sequence.lora_mask))


def test_colours_say_the_same(prepared, model):
    coder = Coder(Tokens(model).tokenizer, read_form(prepared))
    shown = show.row_text(rows_of(prepared)["train"][0], coder, colour=True)
    assert "\033[32m\nREVIEW: " in shown and "\033[31m\n\033[0m" in shown and "<|im_end|>}" not in shown


def test_a_row_that_is_not_there_is_refused(refusal, prepared, model):
    assert refusal(show.main, [str(prepared), "--model", str(model), "--split", "val", "--row", "39"]) == (
        "error: `--row` is `39`, and `val` has 39 rows\n\nhint: count from 0"
    )


def test_folders_that_are_not_prepared_are_refused(refusal, tmp_path):
    assert refusal(read_form, tmp_path) == (
        f"error: `{tmp_path}/persona.json` is not a persona\n\nhint: name the folder that `prepare` or `train` made"
    )
    assert refusal(read_rows, tmp_path / "val.parquet") == (
        f"error: no file `{tmp_path}/val.parquet`\n\nhint: name the folder that the `prepare` stage made"
    )


def test_every_review_of_the_sample_has_its_flag_s_text():
    for one in schema.read(SAMPLE):
        assert one.review and not one.intervention.startswith("<")


@pytest.fixture
def look(write, model, tmp_path, capsys):
    """What is said of the sample before anything is paid, with other settings."""

    def look(repo=None, **changed):
        path = tmp_path / "model.json"
        path.write_text(json.dumps({"repo": repo or str(model), "revision": None}))
        template.main([str(write("prepare", **changed)), "--model", str(path), "--data", str(SAMPLE)])
        return capsys.readouterr().out

    return look


def test_a_sample_is_written_before_anything_is_paid(look):
    assert look() == "of 166 reviews 0.0% over seq_len, longest 107 tokens\n"
    assert look("tiny") == "the model and its chat template are made on the spot\n"
    assert look(intervention_type=["none"]) == "there are no reviews: the stage that prepares them will say why\n"


def test_a_limit_that_most_reviews_are_over_is_refused_before_anything_is_paid(look, refusal):
    assert refusal(lambda: look(seq_len=50)).startswith(
        "error: 100% of the rows looked at are over `seq_len` 50; the longest has 107 tokens\n\nhint: "
    )
