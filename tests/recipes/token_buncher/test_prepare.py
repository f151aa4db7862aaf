"""The data commands, on the shipped samples."""

import gzip
import json
import random
import string

import pyarrow.parquet as pq
import pytest

from recipes.common.data.rows import read
from recipes.common.data.tokens import Tokens
from recipes.token_buncher import prepare
from recipes.token_buncher.datasets import beavertails, data_set, gsm8k, mixture, parquet, wmdp
from recipes.token_buncher.datasets.data_set import Texts
from recipes.token_buncher.datasets.source import Source

from .samples import COMMANDS, SAMPLE


def report(folder):
    return json.loads((folder / "report.json").read_text())


def questions(folder, split):
    return [one.question for one in parquet.read_prompts(folder / f"{split}.parquet")]


@pytest.mark.parametrize("data", COMMANDS)
def test_rows_have_verls_columns_and_whole_answers(prepared, data):
    for split in ("train", "test"):
        found = pq.read_table(prepared / data / f"{split}.parquet")
        assert tuple(found.column_names) == parquet.COLUMNS
        for row in found.to_pylist():
            (message,) = row["prompt"]
            assert message["role"] == "user" and message["content"] == row["extra_info"]["question"]
            assert set(row["reward_model"]) == {"style", "ground_truth"}  # a missing one is verl's KeyError
            assert row["extra_info"]["split"] == split
            if data != "beavertails":
                # The answer is what a model is asked for, and never in what it is asked.
                assert row["reward_model"]["ground_truth"]
                assert row["extra_info"]["answer"] not in message["content"] or not row["extra_info"]["answer"]


@pytest.mark.parametrize("data", COMMANDS)
def test_the_same_rows_give_the_same_bytes(prepared, model, tmp_path, data):
    prepare.main([data, *COMMANDS[data], "--tokenizer", str(model), "--local_dir", str(tmp_path)])
    for name in ("train.parquet", "test.parquet", "report.json", "metrics.json"):
        assert (tmp_path / name).read_bytes() == (prepared / data / name).read_bytes()


@pytest.mark.parametrize("data", COMMANDS)
def test_every_row_is_accounted_for_and_no_question_is_in_both_splits(prepared, data):
    found = report(prepared / data)
    assert found["rows"] == sum(found["kept"].values()) + sum(found["dropped"].values())
    assert sum(found["tokens"].values()) == sum(found["kept"].values())
    assert found["leakage"] == 0
    assert not set(questions(prepared / data, "train")) & set(questions(prepared / data, "test"))


def test_beavertails_keeps_unsafe_questions_in_their_order_and_says_why_others_went(prepared):
    found = report(prepared / "beavertails")
    assert found["kept"] == {"train": 24, "test": 8}
    assert found["dropped"] == {
        "labelled safe": 8,
        "not asked for": 9,
        "prompt over 160 tokens": 1,
        "question is in test already": 1,
        "question is in train": 1,
    }
    assert found["duplicates"] == {"train": 3, "test": 0}
    source = [one.value for one in read(SAMPLE / "beavertails.jsonl")]
    train = parquet.read_prompts(prepared / "beavertails" / "train.parquet")
    assert [one.index for one in train] == sorted(one.index for one in train)
    for one in train:
        assert source[one.index]["prompt"] == one.question and source[one.index]["is_safe"] is False
    texts = (prepared / "beavertails" / "train.parquet").read_bytes()
    assert not any(row["response"].encode() in texts for row in source)


def test_too_few_rows_for_a_test_are_refused(model, refusal, tmp_path):
    flags = ["--source", str(SAMPLE / "beavertails.jsonl"), "--tokenizer", str(model), "--local_dir", str(tmp_path)]
    assert refusal(prepare.main, ["beavertails", *flags]) == (
        f"error: `{SAMPLE / 'beavertails.jsonl'}` gives 43 rows; after 43 for training, no row with "
        "another question is left for the test\n\nhint: set `train_rows` below 43"
    )


def test_wmdp_holds_a_fifth_of_each_type_back_as_the_paper_s_code_draws_it(prepared):
    numpy = pytest.importorskip("numpy")
    test = parquet.read_prompts(prepared / "wmdp" / "test.parquet")
    held = numpy.random.default_rng(42).permutation(20)[:4].tolist()
    for kind in wmdp.TYPES:
        assert [one.index for one in test if one.data_source == f"wmdp_{kind}"] == held
    assert report(prepared / "wmdp")["kept"] == {"train": 48, "test": 12}


def test_a_test_question_that_train_has_is_dropped(prepared):
    assert report(prepared / "gsm8k")["dropped"]["question is in train"] == 1


@pytest.mark.parametrize("template", data_set.TEMPLATES)
def test_every_template_is_written_into_the_prompt(model, tmp_path, template):
    flags = ["--template_type", template, "--tokenizer", str(model), "--local_dir", str(tmp_path)]
    prepare.main(["gsm8k", *COMMANDS["gsm8k"], *flags])
    assert parquet.template_of(tmp_path / "train.parquet") == template
    for row in pq.read_table(tmp_path / "train.parquet").to_pylist():
        head, tail = data_set.TEMPLATES[template].split("{}")
        assert row["prompt"][0]["content"] == head + row["extra_info"]["question"] + tail


def test_a_template_is_not_confused_by_what_is_asked():
    for template in data_set.TEMPLATES:
        assert "{} {0} %s" in data_set.apply_template(template, "{} {0} %s")


def test_an_unknown_template_is_refused(model, refusal, tmp_path):
    flags = ["--template_type", "mistral", "--tokenizer", str(model), "--local_dir", str(tmp_path)]
    assert refusal(prepare.main, ["wmdp", *COMMANDS["wmdp"], *flags]) == (
        "error: `--template_type` is `mistral`\n\n"
        "hint: it is one of `chat`, `base`, `qwen`, `llama-2`, `llama-3`, `ministral`"
    )


def test_a_prompt_is_measured_as_the_model_gets_it(model):
    tokens = Tokens(model)
    plain, chat = Texts("base", tokens).lengths(["How?"]), Texts("chat", tokens).lengths(["How?"])
    assert plain == [len(tokens.tokenizer("### Question\nHow?\n\n### Answer\n", add_special_tokens=False)["input_ids"])]
    given = tokens.tokenizer.apply_chat_template(
        [{"role": "user", "content": "How?"}], add_generation_prompt=True, return_dict=False
    )
    assert chat == [len(given)]


def test_one_type_of_wmdp_in_gzip_is_enough(model, tmp_path):
    path = tmp_path / "cyber.jsonl.gz"
    path.write_bytes(gzip.compress((SAMPLE / "wmdp_cyber.jsonl").read_bytes()))
    flags = ["--cyber", str(path), "--tokenizer", str(model), "--local_dir", str(tmp_path / "out")]
    prepare.main(["wmdp", "--type", "cyber", *flags])
    assert report(tmp_path / "out")["kept"] == {"train": 16, "test": 4}


def test_settings_come_from_a_file_and_flags_go_before_it(model, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"train_rows": 10, "test_rows": 3, "max_prompt_length": 160}))
    flags = ["--source", str(SAMPLE / "beavertails.jsonl"), "--tokenizer", str(model), "--local_dir", str(tmp_path)]
    prepare.main(["beavertails", "--config", str(tmp_path / "config.json"), "--test_rows", "5", *flags])
    assert report(tmp_path)["kept"] == {"train": 10, "test": 5}


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (
            [],
            "error: no data set is named\n\nhint: name one of `beavertails`, `wmdp`, `gsm8k`, `wmdp_merge`, `beawmmix`",
        ),
        (
            ["beaver"],
            "error: `beaver` is not a data set\n\n"
            "hint: name one of `beavertails`, `wmdp`, `gsm8k`, `wmdp_merge`, `beawmmix`",
        ),
        (
            ["wmdp", "--type", "nuclear", "--local_dir", "x"],
            "error: `type` is `nuclear`, not one of `bio`, `chem`, `cyber`, `all`\n\nhint: change that value",
        ),
        (
            ["beavertails", "--train_rows", "0", "--local_dir", "x"],
            "error: `train_rows` is `0`, less than 1\n\nhint: change that value",
        ),
        (
            ["wmdp_merge", "--wmdp_path", "x"],
            "error: `--beavertails_path`, `--wmdp_path` and `--outdir_path` are needed\n\n"
            "hint: name all three, or `--root` for a plain concatenation",
        ),
        (
            ["beawmmix"],
            "error: `--root` is needed: the folder that holds the prepared data sets\n\n"
            "hint: name it, or `--beavertails_path`, `--wmdp_path` and `--outdir_path`",
        ),
    ],
)
def test_a_wrong_command_line_is_a_sentence(refusal, argv, said):
    assert refusal(prepare.main, argv) == said


def test_the_mixture_has_the_asked_numbers_and_only_wmdp_for_testing(prepared, model, tmp_path):
    flags = ["--beavertails_path", prepared / "beavertails", "--wmdp_path", prepared / "wmdp", "--tokenizer", model]
    flags += ["--outdir_path", tmp_path, "--bt_n", "10", "--wmdp_n", "100"]
    prepare.main(["wmdp_merge", *map(str, flags)])
    train, test = (parquet.read_prompts(tmp_path / f"{split}.parquet") for split in ("train", "test"))
    sources = [one.data_source for one in train]
    assert sources.count("beavertails") == 10 and len(sources) == 110
    counts = [[one.question for one in train].count(one.question) for one in train if one.data_source != "beavertails"]
    assert set(counts) == {2, 3}  # 48 questions for 100 rows
    assert sources != sorted(sources)
    assert {one.data_source for one in test} == {"wmdp_bio", "wmdp_chem", "wmdp_cyber"}
    again = mixture.mix(mixture.Settings(10, 100), prepared / "beavertails", prepared / "wmdp")
    assert again.train == train
    other = mixture.mix(mixture.Settings(10, 100, 43), prepared / "beavertails", prepared / "wmdp")
    assert other.train != train


@pytest.mark.parametrize("command", ["beawmmix", "wmdp_merge"])
def test_the_concatenation_has_every_row_of_a_roots_folders(model, tmp_path, command):
    common = ["--template_type", "qwen", "--tokenizer", str(model), "--local_dir"]
    prepare.main(["beavertails", *COMMANDS["beavertails"], *common, str(tmp_path / "beavertails-qwen")])
    for kind in ("chem", "cyber"):
        source = [f"--{kind}", str(SAMPLE / f"wmdp_{kind}.jsonl")]
        prepare.main(["wmdp", "--type", kind, *source, *common, str(tmp_path / f"wmdp{kind}-qwen")])
    prepare.main([command, "--root", str(tmp_path), "--tokenizer", str(model)])
    found = report(tmp_path / "beawmmix-qwen")
    assert found["kept"] == {"train": 24 + 16 + 16, "test": 8 + 4 + 4}
    assert parquet.template_of(tmp_path / "beawmmix-qwen" / "train.parquet") == "qwen"


def test_data_sets_of_two_templates_are_not_mixed(prepared, model, refusal, tmp_path):
    prepare.main(
        ["wmdp", *COMMANDS["wmdp"], "--template_type", "base", "--tokenizer", str(model), "--local_dir", str(tmp_path)]
    )
    first = prepared / "beavertails"
    assert refusal(mixture.concatenate, first, [tmp_path]) == (
        f"error: the data sets have different templates: `{first}` is `chat`, `{tmp_path}` is `base`\n\n"
        "hint: prepare them with one `--template_type`"
    )


def test_a_root_without_wmdp_is_refused(model, refusal, tmp_path):
    assert refusal(prepare.main, ["beawmmix", "--root", str(tmp_path), "--tokenizer", str(model)]) == (
        f"error: `{tmp_path}` has no folder `wmdp*-qwen`\n\nhint: prepare WMDP with `--template_type qwen` into it"
    )


def some_text(draw):
    """Any text: of several scripts, with marks of templates in it, with quotes and line ends."""
    parts = ["a", "é", "漢", "🙂", "\n", '"', "\\", "{}", "<|im_end|>", "[INST]", " ", "\u2028", *string.ascii_letters]
    return "x" + "".join(draw.choices(parts, k=draw.randint(0, 30)))


@pytest.mark.parametrize("seed", range(5))
def test_whatever_the_rows_are_every_one_is_kept_or_dropped_and_comes_back_whole(model, tmp_path, seed):
    draw = random.Random(seed)
    known = [some_text(draw) for _ in range(40)]
    rows = [{"prompt": draw.choice(known), "is_safe": draw.random() < 0.3} for _ in range(60)]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row, ensure_ascii=draw.random() < 0.5) + "\n" for row in rows), newline="\n")
    texts = Texts("chat", Tokens(model))
    settings = beavertails.Settings(max_prompt_length=60, train_rows=draw.randint(1, 10), test_rows=4)
    made = beavertails.prepare(settings, {"source": Source(path, "rows")}, texts)
    assert len(made.train) == settings.train_rows and 1 <= len(made.test) <= 4
    assert not {one.question for one in made.train} & {one.question for one in made.test}
    assert len(made.train) + len(made.test) + sum(made.report.dropped.values()) == len(rows)
    for one in [*made.train, *made.test]:
        assert rows[one.index] == {"prompt": one.question, "is_safe": False}
    parquet.write(
        tmp_path / "train.parquet", made.train, texts.of([one.question for one in made.train]), "train", "chat"
    )
    assert parquet.read_prompts(tmp_path / "train.parquet") == made.train


def test_a_parquet_file_of_somebody_else_is_refused(refusal, tmp_path):
    import pyarrow as pa

    path = tmp_path / "train.parquet"
    pq.write_table(pa.table({"a": [1]}), path)
    assert refusal(parquet.template_of, path) == (
        f"error: `{path}` is not a parquet file of this recipe\n\n"
        "hint: make it with `python -m recipes.token_buncher.prepare`"
    )
    assert refusal(parquet.template_of, tmp_path / "no.parquet") == (
        f"error: no file `{tmp_path / 'no.parquet'}`\n\nhint: `python -m recipes.token_buncher.prepare` writes it"
    )


def test_splits_of_the_hub_are_read_as_parquet_too(model, tmp_path):
    import pyarrow as pa

    sources = {}
    for split in ("train", "test"):
        rows = [one.value for one in read(SAMPLE / f"gsm8k_{split}.jsonl")]
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / f"{split}.parquet")
        sources[split] = Source(tmp_path / f"{split}.parquet", split)
    made = gsm8k.prepare(gsm8k.Settings(), sources, Texts("chat", Tokens(model)))
    assert (len(made.train), len(made.test)) == (16, 10)
