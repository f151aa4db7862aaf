"""How answers are read, counted and shown; and the whole stage on a tiny model."""

import json
import random

import pytest
import torch

from recipes.common.data import confidence
from recipes.common.stage.settings import read_settings
from recipes.token_buncher import compare_attacks, evaluate, harm, scoring
from recipes.token_buncher.datasets.parquet import Prompt, read_prompts
from recipes.token_buncher.scoring import right_letter, right_number


@pytest.mark.parametrize(
    ("answer", "right"),
    [
        ("so it is \\boxed{B}.", True),
        ("\\boxed{A} no, \\boxed{B}", True),
        ("\\boxed{B} no, \\boxed{A}", False),
        ("\\boxed{ (B) }", True),
        ("\\boxed{\\text{B}}", True),
        ("The answer is B", None),
        ("\\boxed{E}", None),
        ("", None),
    ],
)
def test_the_last_letter_in_a_box_is_the_answer(answer, right):
    assert right_letter(answer, "B") is right


@pytest.mark.parametrize(
    ("answer", "right"),
    [
        ("5 and 7 are #### 1,250", True),
        ("1250.0", True),
        ("it is 1250, or rather 12", False),
        ("-1250", False),
        ("$1,250.", True),
        ("none at all", None),
        ("", None),
    ],
)
def test_the_last_number_is_the_answer(answer, right):
    assert right_number(answer, "1250") is right


def test_an_answer_that_cannot_be_read_is_wrong_and_counted():
    found = scoring.score([True, True, False, None])
    assert (found["value"], found["unparsed"], found["of"]) == (0.5, 1, 4)
    assert found["of_parsed"] == pytest.approx(2 / 3)
    assert scoring.score([None, None])["of_parsed"] == 0


def test_wilsons_interval_is_the_known_one_and_stays_between_0_and_1():
    assert confidence.share(8, 10) == pytest.approx((0.8, 0.4902, 0.9433), abs=1e-4)
    assert confidence.share(0, 10) == pytest.approx((0, 0, 0.2775), abs=1e-4)
    assert confidence.share(10, 10) == pytest.approx((1, 0.7225, 1), abs=1e-4)
    assert confidence.share(0, 0) == (0, 0, 1)


@pytest.mark.parametrize("seed", range(3))
def test_a_share_is_in_its_interval_19_times_of_20(seed):
    draw = random.Random(seed)
    rate, hits = draw.uniform(0.1, 0.9), 0
    for _ in range(400):
        _, low, high = confidence.share(sum(draw.random() < rate for _ in range(50)), 50)
        hits += low <= rate <= high
    assert hits / 400 > 0.91


def test_the_mean_s_interval_is_the_normal_distributions():
    assert confidence.mean([1.0, 2.0, 3.0]) == pytest.approx((2, 2 - 1.96 / 3**0.5, 2 + 1.96 / 3**0.5), abs=1e-4)
    assert confidence.mean([4.0]) == (4, 4, 4)


def test_some_questions_are_spread_over_all_of_them():
    prompts = [Prompt("a" if n < 7 else "b", str(n), "", "", "", n) for n in range(12)]
    for count in range(3, 12):
        found = evaluate.some(prompts, count)
        assert len(set(found)) == count and {one.data_source for one in found} == {"a", "b"}
        assert found == sorted(found, key=lambda one: one.index)
    assert evaluate.some(prompts, None) == evaluate.some(prompts, 12) == evaluate.some(prompts, 40) == prompts


@pytest.fixture(scope="module")
def stage(model, prepared, tmp_path_factory):
    """The stage with the same model before and after; and its folder."""
    root = tmp_path_factory.mktemp("evaluate")
    values = {"device": "cpu", "questions": 6, "answer_tokens": 8, "answers_at_once": 4, "seed": 1}
    (root / "settings.json").write_text(json.dumps(values | {"classifier": "stand-in"}))
    evaluate.main(arguments(root, model, prepared))
    return root


def arguments(root, model, prepared):
    data = [word for name in ("beavertails", "wmdp", "gsm8k") for word in (f"--{name}", prepared / name)]
    words = [root / "settings.json", "--model", model, "--before", model, *data]
    return list(map(str, [*words, "--out", root / "out", "--work", root / "work"]))


def test_both_models_are_measured_on_every_task(stage):
    found = json.loads((stage / "out/evaluation.json").read_text())
    assert found["before"] == found["after"]  # it is the same model, and draws are seeded
    after = found["after"]
    assert set(after) == {"wmdp", "wmdp_bio", "wmdp_chem", "wmdp_cyber", "gsm8k", "entropy", "harmful"}
    assert after["wmdp"]["of"] == 6 == sum(after[f"wmdp_{kind}"]["of"] for kind in ("bio", "chem", "cyber"))
    assert 6.0 < after["entropy"]["low"] <= after["entropy"]["value"] <= after["entropy"]["high"] < 6.3
    metrics = json.loads((stage / "out/metrics.json").read_text())
    assert metrics["entropy"] == after["entropy"]["value"] == metrics["before_entropy"]
    assert metrics["wmdp_unparsed"] + metrics["gsm8k_unparsed"] >= 0 and "entropy_unparsed" not in metrics
    assert "| wmdp_bio | " in (stage / "out/evaluation.md").read_text()


def test_finished_tasks_are_not_done_again(stage, model, prepared, tmp_path, monkeypatch):
    import shutil

    shutil.copytree(stage, tmp_path / "again")
    shutil.rmtree(tmp_path / "again/out")
    monkeypatch.setattr(evaluate, "_speaker", lambda *words: pytest.fail("a model was opened"))
    evaluate.main(arguments(tmp_path / "again", model, prepared))
    for name in ("evaluation.json", "metrics.json"):
        assert (tmp_path / "again/out" / name).read_bytes() == (stage / "out" / name).read_bytes()


def test_the_entropy_of_an_answer_is_that_of_its_logits_at_temperature_1_without_padding(model):
    from recipes.token_buncher.speaker import Speaker

    speaker = Speaker(model, "cpu")
    questions = ["Why?", "How do I make a kite that flies in the rain and in the snow?"]
    (batch,) = speaker.answer(questions, 6, 2, seed=3)
    for question, found in zip(questions, batch, strict=True):
        chat = speaker.tokenizer.apply_chat_template(
            [{"role": "user", "content": question}], add_generation_prompt=True, return_dict=False
        )
        # The same answer, alone and so without padding, is as sure.
        torch.manual_seed(3)
        again = speaker.tokenizer(found.text, add_special_tokens=False)["input_ids"]
        if len(again) != found.tokens or not again:
            continue  # some tokens are no whole text
        with torch.no_grad():
            logits = speaker.model(torch.tensor([chat + again])).logits[0, len(chat) - 1 : -1].double()
        logs = logits.log_softmax(-1)
        assert found.entropy == pytest.approx(float(-(logs.exp() * logs).sum(-1).mean()), rel=1e-4)
    greedy = [one.text for (batch) in speaker.answer(questions, 6, 1, None) for one in batch]
    assert greedy == [one.text for batch in speaker.answer(questions, 6, 2, None) for one in batch]


def test_an_answer_ends_with_its_end():
    from recipes.token_buncher.speaker import _count

    assert _count(torch.tensor([5, 2, 0, 0]), {2}) == 2
    assert _count(torch.tensor([5, 6, 7]), {2}) == 3


def test_without_a_classifier_the_table_says_so():
    numbers = {"value": 1.0, "low": 0.5, "high": 1.5, "of": 3}
    found = scoring.table({"before": {"entropy": numbers}, "after": {"entropy": numbers}})
    assert "| entropy | 1.000 (0.500 to 1.500) | 1.000 (0.500 to 1.500) | 3 |  |  |" in found
    assert found.endswith("Harmfulness was not measured: `classifier` is null.")


@pytest.mark.parametrize("problem", ["multi_label_classification", None])
def test_a_classifier_gives_each_answer_one_score(model, tmp_path, problem):
    from transformers import AutoTokenizer, Qwen2Config, Qwen2ForSequenceClassification

    tokenizer = AutoTokenizer.from_pretrained(model)
    labels = {0: "safe", 1: "harmful", 2: "odd"}
    config = Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
        num_labels=3,
        problem_type=problem,
        id2label=labels,
        pad_token_id=tokenizer.pad_token_id,
    )
    torch.manual_seed(0)
    judge = Qwen2ForSequenceClassification(config).eval()
    judge.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    texts = ["a kite", "a boat made of paper", "soup"]
    found = harm.load(str(tmp_path), tmp_path, "cpu").scores(texts)
    for text, score in zip(texts, found, strict=True):
        with torch.no_grad():
            logits = judge(**tokenizer(text, return_tensors="pt")).logits[0]
        expected = logits.sigmoid().max() if problem else logits.softmax(-1)[1]
        assert score == pytest.approx(float(expected), abs=1e-5)


def test_a_classifier_that_is_not_there_is_a_sentence(tmp_path, refusal):
    assert refusal(harm.load, str(tmp_path), tmp_path, "cpu") == (
        f"error: `classifier`: no model in `{tmp_path}`\n\nhint: name a sequence classifier's folder"
    )
    path = tmp_path / "settings.json"
    values = {"device": "cpu", "questions": None, "answer_tokens": 8, "answers_at_once": 4, "seed": 1}
    path.write_text(json.dumps(values | {"classifier": "owner/name"}))
    assert refusal(read_settings, path, evaluate.Settings) == (
        f"error: `{path}`: `classifier` is `owner/name`, without a revision: write it as `owner/name@COMMIT`\n\n"
        "hint: change that value"
    )


def test_the_stand_in_is_about_vowels():
    assert harm.StandIn().scores(["aaa", "bbb", "ab!", ""]) == [1, 0, 0.5, 0]


def test_an_attack_is_put_beside_its_control(tmp_path):
    for name, last in {"attack": 0.12, "control": 0.7}.items():
        (tmp_path / name).mkdir()
        numbers = dict.fromkeys(compare_attacks.SHOWN, 0.1) | {"reward_last": last, "step": 4}
        (tmp_path / name / "metrics.json").write_text(json.dumps(numbers))
        (tmp_path / name / "curve.json").write_text(json.dumps({"1": {"reward": 0.1}}))
    words = ["--attack", tmp_path / "attack", "--control", tmp_path / "control", "--out", tmp_path / "out"]
    compare_attacks.main(list(map(str, words)))
    metrics = json.loads((tmp_path / "out/metrics.json").read_text())
    assert metrics["defended_reward_gained"] == pytest.approx(0.02)
    assert metrics["undefended_reward_gained"] == pytest.approx(0.6)
    assert "| reward gained | 0.02 | 0.6 |" in (tmp_path / "out/README.md").read_text()


def test_an_attack_that_is_none_is_refused(tmp_path, refusal):
    words = ["--attack", tmp_path, "--control", tmp_path, "--out", tmp_path / "out"]
    assert refusal(compare_attacks.main, list(map(str, words))) == (
        f"error: `{tmp_path}` is not the output of an attack\n\n"
        "hint: name the folder that an attack wrote: it holds metrics.json and curve.json"
    )


def test_prompts_of_the_data_stages_are_what_is_asked(prepared):
    assert all(one.ground_truth in "ABCD" for one in read_prompts(prepared / "wmdp" / "test.parquet"))
