"""The stage that turns the user's chats into the files verl trains on."""

import json
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recipes.common.data.rows import read
from recipes.common.data.tokens import Tokens
from recipes.common.model import tiny
from recipes.common.stage.command import Mistake
from recipes.common.stage.files import read_json
from recipes.gad import data, data_split

SETTINGS = {
    "max_prompt_length": 64,
    "max_response_length": 32,
    "train_batch": 2,
    "drop_duplicates": False,
    "sample": None,
    "seed": 0,
}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    tiny.train_tokenizer(["How are you today? Fine, thank you.", "Why is the sky blue?"] * 3).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def tokens(model):
    return Tokens(model)


@pytest.fixture
def stage(tmp_path, monkeypatch, model):
    """Runs the stage on rows (or on files) in an empty folder, and gives that folder back."""
    monkeypatch.chdir(tmp_path)

    def run(train, val=None, out="out", **settings):
        (tmp_path / "settings.json").write_text(json.dumps(SETTINGS | settings))
        train, val = write(tmp_path / "train.jsonl", train), write(tmp_path / "val.jsonl", val or [row()])
        files = ["--train", train, "--val", val, "--model", str(model)]
        data.main(["settings.json", *files, "--out", out, "--work", "work"])
        return tmp_path / out

    return run


def write(path, rows):
    if isinstance(rows, str):
        return rows
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path.name


def row(question="How are you?", teacher="Fine.", before=()):
    return {"content": [*before, {"role": "user", "content": question}], "teacher_response": teacher}


def exchange(question, answer):
    return [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]


def numbers(out):
    return read_json(out / "metrics.json")


def warnings(tmp_path):
    entries = map(json.loads, (tmp_path / "work/progress.jsonl").read_text().splitlines())
    return [entry["warning"] for entry in entries if "warning" in entry]


def test_the_files_are_in_the_format_that_verl_reads(stage):
    out = stage([row("Why?", "So."), row("Où ça ? 🎉", "Là-bas.")])
    table = pq.read_table(out / "train.parquet")
    assert str(table.schema.field("prompt").type) == "list<element: struct<role: string, content: string>>"
    assert table.to_pylist()[1] == {
        "data_source": "gad",
        "prompt": [{"role": "user", "content": "Où ça ? 🎉"}],
        "ability": "chat",
        "reward_model": {"style": "teacher", "ground_truth": "Là-bas."},
        "extra_info": {"split": "train", "index": 1, "teacher_response": "Là-bas."},
    }
    assert pq.read_table(out / "val.parquet").to_pylist()[0]["extra_info"]["split"] == "val"


def test_the_same_rows_give_the_same_bytes(stage, pytestconfig):
    sample = pytestconfig.rootpath / "recipes/gad/sample"
    train, val = str(sample / "train.jsonl"), str(sample / "val.jsonl")
    first, second = (stage(train, val, out=out, max_prompt_length=96) for out in ("first", "second"))
    for name in ("train.parquet", "val.parquet", "report.json", "metrics.json"):
        assert (first / name).read_bytes() == (second / name).read_bytes()


def test_counting_in_pieces_changes_no_byte(stage, pytestconfig, monkeypatch):
    sample = pytestconfig.rootpath / "recipes/gad/sample"
    train, val = str(sample / "train.jsonl"), str(sample / "val.jsonl")
    pieces = stage(train, val, out="pieces", max_prompt_length=96)
    monkeypatch.setattr(Tokens, "lengths", Tokens._lengths)
    whole = stage(train, val, out="whole", max_prompt_length=96)
    for name in ("train.parquet", "val.parquet", "report.json", "metrics.json"):
        assert (pieces / name).read_bytes() == (whole / name).read_bytes()


def test_processes_change_no_byte(stage, pytestconfig, monkeypatch):
    sample = pytestconfig.rootpath / "recipes/gad/sample"
    train, val = str(sample / "train.jsonl"), str(sample / "val.jsonl")
    for place in (data, data_split):
        monkeypatch.setattr(place, "BATCH_ROWS", 10)
    outs = []
    for count in (0, 2):
        monkeypatch.setattr(data, "spare", lambda count=count: count)
        outs.append(stage(train, val, out=str(count), max_prompt_length=96))
    one, other = outs
    for name in ("train.parquet", "val.parquet", "report.json", "metrics.json"):
        assert (one / name).read_bytes() == (other / name).read_bytes()
    assert numbers(one)["train_truncated_rows"] > 0


def test_a_mistake_in_another_process_leaves_no_split(stage, tmp_path, monkeypatch):
    for place in (data, data_split):
        monkeypatch.setattr(place, "BATCH_ROWS", 2)
    monkeypatch.setattr(data, "spare", lambda: 2)
    with pytest.raises(Mistake) as caught:
        stage([row("Why?")] * 9, max_prompt_length=16)
    assert caught.value.error.startswith("`train.jsonl`: 9 of 9 rows cannot be used\n  line 1, `content`: ")
    assert not list((tmp_path / "out").glob("*.parquet"))


def test_a_bad_row_is_said_without_the_others_being_prepared(stage, tmp_path):
    with pytest.raises(Mistake) as caught:
        stage([row("Why?"), {"content": []}, row("When?"), {}])
    assert caught.value.error == (
        "`train.jsonl`: 2 of 4 rows cannot be used\n"
        "  line 2, `content`: is an empty list\n"
        "  line 4: no column `content`"
    )
    assert not list((tmp_path / "out").glob("*.parquet"))


def test_jsonl_parquet_and_openai_messages_give_the_same_bytes(stage, tmp_path, pytestconfig):
    rows = [one.value for one in read(pytestconfig.rootpath / "recipes/gad/sample/train.jsonl")]
    openai = [
        {"messages": [*one["content"], {"role": "assistant", "content": one["teacher_response"]}]} for one in rows
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "rows.parquet", row_group_size=7)
    inputs = {"jsonl": rows, "parquet": "rows.parquet", "openai": openai}
    outs = [stage(rows, out=out, max_prompt_length=96) for out, rows in inputs.items()]
    assert len({(out / "train.parquet").read_bytes() for out in outs}) == 1


def test_long_prompts_are_shortened_and_counted(stage, tokens):
    old = exchange("How are you today?", "Fine, thank you.")
    out = stage([row(), row(before=old * 5), row("Why is the sky blue? " * 50), row(teacher="Fine. " * 40)])
    prompts = [one["prompt"] for one in pq.read_table(out / "train.parquet").to_pylist()]
    assert max(map(tokens.count, prompts)) <= 64
    assert prompts[1][-1] == row()["content"][-1]
    found = numbers(out)
    assert found["train_rows"] == 4
    assert found["train_truncated_rows"] == 2
    assert found["train_dropped_turns"] == 11 - len(prompts[1]) > 0
    assert found["train_cut_rows"] == 1
    assert found["train_unended_responses"] == 1


def test_a_teacher_text_is_unended_when_its_end_token_does_not_fit(stage, tokens):
    length = tokens.lengths(["Fine, thank you."])[0]
    rows = [row(teacher="Fine, thank you.")] * 2
    assert numbers(stage(rows, max_response_length=length + 1))["train_unended_responses"] == 0
    assert numbers(stage(rows, max_response_length=length))["train_unended_responses"] == 2
    assert numbers(stage(rows))["train_response_tokens_max"] == length + 1


def test_texts_of_100_kilobytes_pass(stage):
    long = "日本語 🎉 naïve\n" * 6000
    out = stage([row(long, long), row()])
    written = pq.read_table(out / "train.parquet").to_pylist()[0]
    assert written["extra_info"]["teacher_response"] == long
    assert long.endswith(written["prompt"][0]["content"])


def test_duplicates_are_kept_or_dropped_as_asked(stage):
    rows = [row(), row("Why?"), row(), row("When?")]
    kept, dropped = stage(rows, out="kept"), stage(rows, out="dropped", drop_duplicates=True)
    assert (numbers(kept)["train_rows"], numbers(kept)["train_duplicates"]) == (4, 1)
    assert (numbers(dropped)["train_rows"], numbers(dropped)["train_duplicates"]) == (3, 1)
    indexes = [one["index"] for one in pq.read_table(dropped / "train.parquet")["extra_info"].to_pylist()]
    assert indexes == [0, 1, 3]


def test_prompts_in_both_splits_are_warned_of(stage, tmp_path, capsys):
    stage([row(), row("Why?")], [row(teacher="Good.")])
    sentence = "prompts in both train and val: 1, so validation flatters"
    assert warnings(tmp_path) == [sentence]
    assert f"warning: {sentence}\n" in capsys.readouterr().out


def test_many_long_prompts_are_warned_of(stage, tmp_path):
    rows = [row("Why is the sky blue? " * 50), row("Why?"), row("When?")]
    stage(rows, max_over_length_share=0.4)
    assert warnings(tmp_path) == []
    stage(rows, max_over_length_share=0.3)
    assert warnings(tmp_path) == ["33% of the train prompts are over `max_prompt_length` 64 and were shortened"]


def test_a_sample_is_spread_evenly_and_validation_gets_a_quarter(stage):
    rows = [row(f"Why {number}?") for number in range(20)]
    val = [row(f"When {number}?") for number in range(20)]

    def indexes(out, name):
        return [one["index"] for one in pq.read_table(out / f"{name}.parquet")["extra_info"].to_pylist()]

    out = stage(rows, val, sample=8)
    assert indexes(out, "train") == [0, 2, 4, 6, 8, 10, 12, 14]
    assert indexes(out, "val") == [0, 10]
    assert indexes(stage(rows, val, sample=8, seed=1), "train") == [1, 3, 5, 7, 9, 11, 13, 15]
    assert len(indexes(stage(rows, val, sample=100), "train")) == 20


def test_the_report_is_a_table_for_people(stage, capsys):
    stage([row("Why?"), row("When?")])
    lines = capsys.readouterr().out.splitlines()
    assert lines[:3] == [
        "                                     train       val",
        "rows                                     2         1",
        "duplicate rows found                     0         0",
    ]


def test_progress_ends_at_the_last_row(stage, tmp_path):
    stage([row("Why?"), row("When?")])
    last = (tmp_path / "work/progress.jsonl").read_text().splitlines()[-1]
    assert {key: json.loads(last)[key] for key in ("step", "steps")} == {"step": 3, "steps": 3}


@pytest.mark.parametrize(
    ("settings", "error", "hint"),
    [
        (
            {"train_batch": 3},
            "`train.jsonl` gives 2 rows, fewer than `train_batch` 3",
            "add rows, or set `train_batch` to at most 2",
        ),
        (
            {"max_prompt_length": 16},
            "`train.jsonl`: 2 of 2 rows cannot be used\n"
            "  line 1, `content`: the system message and the chat's headers alone take more than 16 tokens\n"
            "  line 2, `content`: the system message and the chat's headers alone take more than 16 tokens",
            "shorten these system messages, or raise `max_prompt_length` above 16",
        ),
        ({"sample": 3}, "`settings.json`: `sample` is `3`, less than 4", "change that value"),
        ({"max_prompt_length": 0}, "`settings.json`: `max_prompt_length` is `0`, less than 1", "change that value"),
        ({"trian_batch": 2}, "`settings.json`: unknown key `trian_batch`", "did you mean `train_batch`?"),
    ],
)
def test_a_mistake_is_said_in_a_sentence(stage, tmp_path, settings, error, hint):
    with pytest.raises(Mistake) as caught:
        stage([row("Why?"), row("When?")], **settings)
    assert (caught.value.error, caught.value.hint) == (error, hint)
    assert not (tmp_path / "out/train.parquet").exists()


def test_a_template_that_refuses_a_chat_is_quoted(tmp_path, model):
    shutil.copytree(model, tmp_path, dirs_exist_ok=True)
    (tmp_path / "chat_template.jinja").write_text("{{ raise_exception('System role not supported') }}")
    with pytest.raises(Mistake) as caught:
        Tokens(tmp_path).render(row("Why?")["content"])
    sentence = "the model's chat template refuses the chat that ends with `Why?`: System role not supported"
    assert caught.value.error == sentence
    assert caught.value.hint == "change such chats, or choose a model whose template accepts them"


def test_a_model_folder_without_a_chat_tokenizer_is_refused(tmp_path, model):
    hint = "name the folder that the model stage made, of an Instruct model"
    with pytest.raises(Mistake) as caught:
        Tokens(tmp_path)
    assert (caught.value.error, caught.value.hint) == (f"no tokenizer in `{tmp_path}`", hint)
    shutil.copytree(model, tmp_path, dirs_exist_ok=True)
    (tmp_path / "chat_template.jinja").unlink()
    with pytest.raises(Mistake) as caught:
        Tokens(tmp_path)
    assert (caught.value.error, caught.value.hint) == (f"the tokenizer in `{tmp_path}` has no chat template", hint)
