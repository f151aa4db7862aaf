import pytest

from launcher.planning.settings import check_names, parse_change, shared_settings, stage_settings

TEXT = """
name: some
about: a recipe
image: some
inputs: {train: {about: rows, rows: 64}}
settings: {batch: 8, rate: 1.0e-6, offload: false, name: gad, sample: null, words: []}
stages:
  warmup:
    run: [python]
    uses: [batch, rate, offload, name, sample, words]
    settings: {mode: warm, critic: 10}
    steps: {rows: train, batch: batch, epochs: 2}
  convert: {run: [python]}
lists:
  default: {stages: [warmup], export: warmup}
"""


@pytest.mark.parametrize(
    ("text", "change"),
    [
        ("train_batch=128", ("train_batch", 128)),
        ("rate=1e-6", ("rate", 1e-6)),
        ("rate=", ("rate", None)),
        ("name=a=b", ("name", "a=b")),
        ("offload=true", ("offload", True)),
        ("words=[a, 'b c']", ("words", ["a", "b c"])),
        ("day=2024-13-45", ("day", "2024-13-45")),
        ("warmup.epochs=4", ("warmup.epochs", 4)),
    ],
)
def test_a_change_is_a_name_and_a_yaml_value(text, change):
    assert parse_change(text) == change


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("batch", "error: `--set batch` must look like NAME=VALUE\n\nhint: for example `--set train_batch=128`"),
        ("=3", "error: `--set =3` must look like NAME=VALUE\n\nhint: for example `--set train_batch=128`"),
        ("a=[1", "error: `--set a=[1`: `[1` is not valid YAML\n\nhint: put the value in quotes"),
        (
            "a={b: 1, b: 2}",
            "error: `--set a={b: 1, b: 2}`: `{b: 1, b: 2}` is not valid YAML\n\nhint: put the value in quotes",
        ),
    ],
)
def test_a_change_that_is_none_is_a_sentence(refusal, text, error):
    assert refusal(parse_change, text) == error


def test_the_command_line_wins_over_the_size_and_the_size_over_the_recipe(recipe):
    found = recipe(TEXT, "about: a\nsettings: {batch: 4, rate: 2}")
    settings = shared_settings(found, [("batch", 2), ("sample", 5)])
    assert settings == {"batch": 2, "rate": 2.0, "offload": False, "name": "gad", "sample": 5, "words": []}
    assert isinstance(settings["rate"], float)


def test_a_stage_has_its_own_settings_and_epochs(recipe):
    found = recipe(TEXT, "about: a\nstages: {warmup: {epochs: 3, settings: {critic: 1}}}")
    assert stage_settings(found, "warmup", []) == ({"mode": "warm", "critic": 1}, 3.0)
    assert stage_settings(found, "warmup", [("warmup.epochs", 5), ("warmup.critic", 7)]) == (
        {"mode": "warm", "critic": 7},
        5.0,
    )
    assert stage_settings(found, "convert", [("warmup.critic", 7)]) == ({}, None)


def test_a_shared_setting_can_be_changed_for_one_stage(recipe):
    assert stage_settings(recipe(TEXT), "warmup", [("warmup.rate", 1)])[0]["rate"] == 1.0


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("batch", "x", "error: `--set batch` is `x`, not a whole number\n\nhint: the default is `8`"),
        ("batch", 8.5, "error: `--set batch` is `8.5`, not a whole number\n\nhint: the default is `8`"),
        ("batch", True, "error: `--set batch` is `True`, not a whole number\n\nhint: the default is `8`"),
        ("batch", None, "error: `--set batch` is `None`, not a whole number\n\nhint: the default is `8`"),
        ("rate", "fast", "error: `--set rate` is `fast`, not a number\n\nhint: the default is `1e-06`"),
        ("rate", False, "error: `--set rate` is `False`, not a number\n\nhint: the default is `1e-06`"),
        ("offload", 1, "error: `--set offload` is `1`, not true or false\n\nhint: the default is `False`"),
        ("name", 1, "error: `--set name` is `1`, not a text\n\nhint: the default is `gad`"),
        ("words", "a", "error: `--set words` is `a`, not a list\n\nhint: the default is `[]`"),
        ("bacth", 1, "error: `--set bacth`: the recipe has no such setting\n\nhint: did you mean `batch`?"),
        ("critic", 1, "error: `--set critic`: the recipe has no such setting\n\nhint: did you mean `warmup.critic`?"),
    ],
)
def test_a_wrong_change_of_a_shared_setting_is_a_sentence(recipe, refusal, name, value, error):
    assert refusal(shared_settings, recipe(TEXT), [(name, value)]) == error


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("warmup.critc", 1, "error: `--set warmup.critc`: unknown setting `critc`\n\nhint: did you mean `critic`?"),
        ("warmup.critic", "a", "error: `--set warmup.critic` is `a`, not a whole number\n\nhint: the default is `10`"),
        ("warmup.epochs", "a", "error: `--set warmup.epochs` is `a`, not a number\n\nhint: the default is `1.0`"),
        (
            "warmup.epochs",
            0,
            "error: `--set warmup.epochs=0`: epochs have to be more than 0\n\nhint: give a number above 0",
        ),
        (
            "warmup.epochs",
            float("inf"),
            "error: `--set warmup.epochs=inf`: epochs have to be more than 0\n\nhint: give a number above 0",
        ),
        (
            "warmup.epochs",
            float("nan"),
            "error: `--set warmup.epochs=nan`: epochs have to be more than 0\n\nhint: give a number above 0",
        ),
    ],
)
def test_a_wrong_change_of_a_stage_s_setting_is_a_sentence(recipe, refusal, name, value, error):
    assert refusal(stage_settings, recipe(TEXT), "warmup", [(name, value)]) == error


@pytest.mark.parametrize(
    ("size", "call", "error"),
    [
        (
            "settings: {bacth: 4}",
            lambda found: shared_settings(found, []),
            "error: `recipes/some/sizes/tiny.yaml`: `settings.bacth`: unknown setting `bacth`\n\n"
            "hint: did you mean `batch`?",
        ),
        (
            "settings: {batch: a}",
            lambda found: shared_settings(found, []),
            "error: `recipes/some/sizes/tiny.yaml`: `settings.batch` is `a`, not a whole number\n\n"
            "hint: the default is `8`",
        ),
        (
            "stages: {warmup: {settings: {critc: 4}}}",
            lambda found: stage_settings(found, "warmup", []),
            "error: `recipes/some/sizes/tiny.yaml`: `stages.warmup.settings.critc`: unknown setting `critc`\n\n"
            "hint: did you mean `critic`?",
        ),
        (
            "stages: {warmpu: {epochs: 1}}",
            lambda found: check_names(found, ["warmup"], []),
            "error: `recipes/some/sizes/tiny.yaml`: unknown stage `warmpu`\n\nhint: did you mean `warmup`?",
        ),
    ],
)
def test_a_wrong_size_is_a_sentence(recipe, refusal, size, call, error):
    assert refusal(call, recipe(TEXT, f"about: a\n{size}")) == error


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ("warmpu.rate", "error: `--set warmpu.rate`: there is no stage `warmpu`\n\nhint: did you mean `warmup`?"),
        ("convert.a", "error: `--set convert.a`: this run has no stage `convert`\n\nhint: choose one of `warmup`"),
    ],
)
def test_a_change_of_a_stage_that_does_not_run_is_a_sentence(recipe, refusal, change, error):
    assert refusal(check_names, recipe(TEXT), ["warmup"], [(change, 1)]) == error
