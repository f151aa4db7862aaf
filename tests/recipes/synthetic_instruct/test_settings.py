"""Every stage's settings are looked at before anything is paid, by a program that imports nothing heavy."""

import json
import subprocess
import sys

import pytest

from recipes.common.stage.command import Mistake
from recipes.common.stage.settings import read_settings
from recipes.synthetic_instruct.preflight.settings import KINDS

from .conftest import ROOT
from .stages import DPO, FULL, GENERATE, RESPOND, SFT

EVALUATE = {
    "device": "cpu",
    "dtype": "float32",
    "tasks": ["ifeval"],
    "task_folder": None,
    "few_shot": None,
    "limit": None,
    "eval_at_once": 4,
    "eval_max_length": 512,
    "seed": 42,
}


@pytest.mark.parametrize(
    ("stage", "good", "changes", "says"),
    [
        ("generate", GENERATE, {"engine": "vlm"}, "`engine` is `vlm`, not one of `vllm`, `transformers`"),
        ("generate", GENERATE, {"dtype": "bfloat16"}, "`dtype` is `bfloat16`; on a CPU it is `float32`"),
        ("generate", GENERATE, {"rows": 0}, "`rows` is `0`, less than 1"),
        ("generate", GENERATE, {"top_p": 0.0}, "`top_p` is `0.0`, not above 0 and at most 1"),
        (
            "generate",
            GENERATE,
            {"instruction_temperature": 0.0},
            "`instruction_temperature` is not above 0: every instruction would be the same",
        ),
        ("generate", GENERATE, {"response_temperature": -1.0}, "`response_temperature` is `-1.0`, less than 0"),
        ("generate", GENERATE, {"ban_first": [""]}, "`ban_first` is `['']`, not a list of texts"),
        ("respond", RESPOND, {"temperatures": []}, "`temperatures` is `[]`, not a list of numbers from 0 on"),
        ("respond", RESPOND, {"instructions": 0}, "`instructions` is `0`, less than 1"),
        ("sft", SFT, {"method": "all"}, "`method` is `all`, not one of `lora`, `full`, `prompt`"),
        ("sft", SFT, {"method": "full"}, "`method` is `full`: `--stages full` has a stage for it"),
        ("sft_full", FULL, {"method": "lora"}, "`method` is `lora`: `--stages default` has a stage for it"),
        ("sft_full", FULL, {"nf4": True}, "`nf4` is `True`, and weights in 4 bits cannot be trained"),
        ("sft", SFT, {"template": "vicuna"}, "`template` is `vicuna`, not one of `chatml`, `llama3`, `mistral`"),
        ("prompt", SFT | {"method": "prompt"}, {"virtual_tokens": 0}, "`virtual_tokens` is `0`, less than 1"),
        ("dpo", DPO, {"beta": 0.0}, "`beta` is `0.0`, not above 0"),
        ("evaluate", EVALUATE, {"tasks": []}, "`tasks` is `[]`, not a list of names"),
        ("evaluate", EVALUATE, {"tasks": ["a", "a"]}, "`tasks` is `['a', 'a']`: a task is named twice"),
        ("evaluate", EVALUATE, {"limit": 0}, "`limit` is `0`, less than 1"),
        ("evaluate", EVALUATE, {"few_shot": -1}, "`few_shot` is `-1`, less than 0"),
        (
            "push",
            {"hub_repo": "me/model", "hub_private": True},
            {"hub_repo": None},
            "`hub_repo` is `None`: write `owner/name` of your own",
        ),
        (
            "push",
            {"hub_repo": "me/model", "hub_private": True},
            {"hub_repo": "model"},
            "`hub_repo` is `model`: write `owner/name` of your own",
        ),
    ],
)
def test_a_value_that_cannot_be_is_a_sentence(tmp_path, stage, good, changes, says):
    path = tmp_path / "config.json"
    path.write_text(json.dumps(good))
    read_settings(path, KINDS[stage])
    path.write_text(json.dumps(good | changes))
    with pytest.raises(Mistake) as caught:
        read_settings(path, KINDS[stage])
    assert caught.value.error == f"`{path}`: {says}"


def test_the_check_imports_nothing_heavy(tmp_path):
    request = tmp_path / "request.json"
    request.write_text(json.dumps([{"stage": "sft", "kind": "sft", "settings": SFT, "cloud": "local"}]))
    code = (
        "import sys; from recipes.synthetic_instruct.preflight.settings import main\n"
        f"sys.argv[1:] = [{str(request)!r}]; main()\n"
        "print(sorted({'torch', 'transformers', 'trl', 'datasets', 'numpy', 'httpx'} & {*sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == "sft: fine\n[]\n", done.stderr
