"""What a judge's settings may not be; above all, they hold no key."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from recipes.profile_dpo.judge.types import JudgeSettings

from ..conftest import JUDGE

ROOT = Path(__file__).parents[4]
KEY = "sk-" + "abcdefgh12345678"
HOLDS = (
    "contains a key, and settings are written to many files; remove it, and give it as the secret JUDGE_API_KEY: "
    "in the environment, or in site.yaml under `secrets`"
)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("api_key", KEY),
        ("api_key", "anything"),
        ("endpoint_model", KEY),
        ("endpoint_url", "https://me:secret@judge.example/v1"),
        ("endpoint_url", f"https://judge.example/v1?key={KEY}"),
        ("endpoint_model", "Bearer abc"),
    ],
)
def test_a_key_is_refused_and_not_repeated(name, value):
    with pytest.raises(ValueError) as caught:
        JudgeSettings(**{**JUDGE, name: value})
    assert str(caught.value) == f"`{name}` {HOLDS}"


@pytest.mark.parametrize("model", ["gpt-4o-mini-2024-07-18", "Qwen/Qwen3-235B-A22B-Instruct-2507-FP8", "llama3:70b"])
def test_a_models_name_is_no_key(model):
    assert JudgeSettings(**{**JUDGE, "endpoint_model": model}).endpoint_model == model


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"judge": "me"}, "`judge` is `me`, not one of `local`, `endpoint`, `words`"),
        ({"endpoint_url": None}, "`judge` is `endpoint`, and `endpoint_url` is not set"),
        ({"endpoint_model": None}, "`judge` is `endpoint`, and `endpoint_model` is not set"),
        ({"endpoint_url": "judge:80"}, "`endpoint_url` is `judge:80`, which does not begin with https://"),
        ({"orders": 3}, "`orders` is `3`, neither 1 nor 2"),
        ({"attempts": 0}, "`attempts` is `0`, less than 1"),
        ({"endpoint_retries": -1}, "`endpoint_retries` is `-1`, less than 0"),
        ({"max_dollars": 0.0}, "`max_dollars` is `0.0`, not above 0"),
        (
            {"max_dollars": 5.0, "price_in": None},
            "`max_dollars` needs `price_in` and `price_out`, in dollars for a million tokens",
        ),
        (
            {"judge": "words", "batched_rounds": 1},
            "`batched_rounds` is `1`, which needs `judge` `endpoint`",
        ),
        ({"dtype": "bfloat16"}, "`dtype` is `bfloat16`; on a CPU it is `float32`"),
        ({"gpu_share": 0.0}, "`gpu_share` is `0.0`, not above 0 and at most 1"),
    ],
)
def test_a_setting_that_cannot_be_is_said(changes, says):
    with pytest.raises(ValueError) as caught:
        JudgeSettings(**{**JUDGE, **changes})
    assert str(caught.value) == says


def test_the_check_before_the_launch_refuses_it_in_a_sentence(tmp_path):
    path = tmp_path / "request.json"

    def asked(**settings):
        stage = {"stage": "judge", "kind": "evaluate", "settings": {**JUDGE, **settings}, "cloud": "local"}
        path.write_text(json.dumps([stage]))
        argv = [sys.executable, "-m", "recipes.profile_dpo.preflight.settings", str(path)]
        return subprocess.run(argv, cwd=ROOT, capture_output=True, text=True)

    done = asked(api_key=KEY)
    assert done.returncode == 2 and KEY not in done.stdout + done.stderr
    assert done.stderr == f"error: stage `judge`: `api_key` {HOLDS}\n\nhint: change that value\n"
    assert asked().stdout == "judge: fine\n"
