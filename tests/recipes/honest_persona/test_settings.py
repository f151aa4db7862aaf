"""A value that cannot be is refused before anything is paid."""

import json

import pytest

from recipes.honest_persona.preflight import settings

STAGES = ["prepare", "train", "evaluate"]


@pytest.fixture
def request_of(write, tmp_path):
    """The path of a request about stages, each with its settings."""

    def made(*stages, **changed):
        path = tmp_path / "request.json"
        settings = {stage: json.loads(write(stage, **changed).read_text()) for stage in stages}
        told = [{"stage": name, "kind": name, "settings": settings[name], "cloud": "local"} for name in stages]
        path.write_text(json.dumps(told))
        return [str(path)]

    return made


def test_the_recipe_s_own_fit(request_of, capsys):
    settings.main(request_of(*STAGES))
    assert capsys.readouterr().out == "".join(f"{stage}: fine\n" for stage in STAGES)


@pytest.mark.parametrize(
    ("stage", "changed", "says"),
    [
        ("prepare", {"elicitation_type": "xp"}, "`elicitation_type` is `xp`, not one of `hp`, `up`, `ur`"),
        ("prepare", {"claude_frac": 0.0}, "`claude_frac` is `0.0`, not above 0 and at most 1"),
        ("prepare", {"val_samples_per_topic": 0}, "`val_samples_per_topic` is `0`, less than 1"),
        ("prepare", {"seq_len": 1}, "`seq_len` is `1`, less than 2"),
        ("prepare", {"flag_prefix": " "}, "`flag_prefix` is empty: the flag could not be found after the review"),
        ("train", {"batch_size": 0}, "`batch_size` is `0`, less than 1"),
        ("train", {"ranks": 0}, "`ranks` is `0`, less than 1"),
        ("train", {"lr": 0.0}, "`lr` is `0.0`, not above 0"),
        ("train", {"beta2": 1.0}, "`beta2` is `1.0`, not from 0 to below 1"),
        ("train", {"lr_floor": 1.5}, "`lr_floor` is `1.5`, not from 0 to 1"),
        ("train", {"weight_decay": -1.0}, "`weight_decay` is `-1.0`, less than 0"),
        ("train", {"warmup": 0.6}, "`warmup` + `cooldown` is `1.1`, more than 1"),
        ("train", {"micro_batch": 5}, "`batch_size` is `16`, not a multiple of `micro_batch` 5"),
        ("train", {"device": "tpu"}, "`device` is `tpu`, not one of `cuda`, `cpu`"),
        ("evaluate", {"max_new_tokens": 0}, "`max_new_tokens` is `0`, less than 1"),
        ("evaluate", {"device": "tpu"}, "`device` is `tpu`, not one of `cuda`, `cpu`"),
    ],
)
def test_an_impossible_value_is_named(refusal, request_of, stage, changed, says):
    said = refusal(settings.main, request_of(stage, **changed))
    assert said == f"error: stage `{stage}`: {says}\n\nhint: change that value"
