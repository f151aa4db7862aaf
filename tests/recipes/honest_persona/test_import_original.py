"""The original project's configuration becomes this recipe's, key by key, or is refused."""

import json

import pytest
import yaml

from recipes.honest_persona.import_original import KEPT, RENAMED, main, translate

from .conftest import FAMILY

CONFIG = {
    "elicitation_type": "up",
    "add_sp_token": 1,
    "system_tag": "<SYSTEM> ",
    "intervention_prefix": " INTERVENTION: ",
    "review_prefix": "\nREVIEW:",
    "flag_prefix": "\nFLAG: ",
    "intervention_type": "honesty_scare",
    "train_topics": ["sycophancy"],
    "validation_topics": ["reward_hacks"],
    "tags_to_filter": ["confidence_below_4"],
    "claude_frac": 0.5,
    "first_heavy_log_step": 1000,
    "use_dummy_data": 0,
    "validation_batch_size": 32,
    "val_samples_per_topic": 16,
    "lora_r": 128,
}
"""The sixteen keys of the original's description."""

ENV = {
    "WANDB_API_KEY": "not-to-be-seen-1",
    "HF_TOKEN": "not-to-be-seen-2",
    "OPENROUTER_KEY": "not-to-be-seen-3",
    "CUDA_VISIBLE_DEVICES": "0,1",
    "PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:True",
    "TORCHDYNAMO_DISABLE": 1,
    "NCCL_P2P_DISABLE": "0",
    "NCCL_IB_DISABLE": "1",
    "NCCL_SHM_DISABLE": "0",
    "TORCH_NCCL_ASYNC_ERROR_HANDLING": "1",
    "TORCH_NCCL_BLOCKING_WAIT": "1",
    "NCCL_DEBUG": "WARN",
    "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
}
"""Its thirteen variables."""


@pytest.fixture
def files(tmp_path):
    def files(config, env):
        for name, value in (("config", config), ("env", env)):
            (tmp_path / f"{name}.json").write_text(json.dumps(value))
        return [str(tmp_path / "config.json"), str(tmp_path / "env.json")]

    return files


def test_every_key_of_the_original_has_its_place():
    made = translate(CONFIG, ENV)
    assert made.settings == CONFIG | {
        "add_sp_token": True,
        "use_dummy_data": False,
        "intervention_type": ["honesty_scare"],
    }
    assert len(made.mapping) == 16 + 13
    assert made.envs == {name: str(value) for name, value in list(ENV.items())[4:]}


def test_every_setting_it_can_make_is_one_of_the_recipe_s():
    known = yaml.safe_load((FAMILY / "recipe.yaml").read_text())["settings"]
    assert {*KEPT, *RENAMED.values()} <= known.keys()


def test_the_mapping_and_the_size_are_printed_and_no_secret(files, capsys):
    main(files(CONFIG, ENV))
    said = capsys.readouterr().out
    assert f"{'config.json lora_r':<40}  ->  settings.lora_r: 128\n" in said
    assert f"{'env.json CUDA_VISIBLE_DEVICES':<40}  ->  derived: " in said
    assert f"{'env.json WANDB_API_KEY':<40}  ->  a secret: " in said
    assert "not-to-be-seen" not in said
    mapping, size, envs = said.split("\n\n")
    assert yaml.safe_load(size)["settings"] == translate(CONFIG, {}).settings
    assert yaml.safe_load(envs)["envs"] == translate({}, ENV).envs
    assert len(mapping.splitlines()) == 29


def test_the_size_can_be_written(files, tmp_path, capsys):
    out = tmp_path / "mine.yaml"
    main([files(CONFIG, ENV)[0], "--out", str(out)])
    assert yaml.safe_load(out.read_text()) == {
        "about": "imported from config.json",
        "settings": translate(CONFIG, {}).settings,
    }
    assert f"\n{out}: name its model under `models:`, as in sizes/8b.yaml\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("config", "env", "says"),
    [
        (
            {"prob_exclude_system_prompt": 1.0},
            {},
            "`config.json`: this recipe does not read `prob_exclude_system_prompt`\n\n"
            "hint: did you mean `exclude_system_prompt`?",
        ),
        (
            {"ab1": 0.9},
            {},
            "`config.json`: this recipe does not read `ab1`\n\nhint: remove it if the run does not depend on it",
        ),
        (
            {},
            {"NCCL_DEBUGG": "1"},
            "`env.json`: this recipe does not read `NCCL_DEBUGG`\n\nhint: did you mean `NCCL_DEBUG`?",
        ),
        ({"add_sp_token": 2}, {}, "`config.json`: `add_sp_token` is `2`\n\nhint: write 0 or 1"),
        (
            {"intervention_type": "a", "intervention_types": ["b"]},
            {},
            "`config.json`: `intervention_types` and another key both mean `intervention_type`\n\n"
            "hint: leave one of them out",
        ),
    ],
)
def test_what_nothing_reads_is_refused(refusal, config, env, says):
    assert refusal(translate, config, env) == f"error: {says}"


def test_a_file_that_is_not_json_is_refused(refusal, tmp_path):
    (tmp_path / "bad.json").write_text("[]")
    (tmp_path / "worse.json").write_text("{")
    assert (
        refusal(main, [str(tmp_path / "bad.json")])
        == f"error: `{tmp_path}/bad.json` is not a JSON object\n\nhint: correct the file"
    )
    assert refusal(main, [str(tmp_path / "worse.json")]).startswith(f"error: `{tmp_path}/worse.json` is not JSON: ")
    assert refusal(main, [str(tmp_path / "none.json")]) == (
        f"error: no file `{tmp_path}/none.json`\n\nhint: name the project's config.json, and its env.json"
    )
