import pytest

from launcher.config.recipe import families, names, read_recipe

WHOLE = """
name: some
about: a recipe
image: some
models: {student: {repo: tiny}}
inputs: {train: {about: rows, rows: 64}}
settings: {batch: 8}
stages:
  warmup: {run: [python], uses: [batch]}
lists:
  default: {stages: [warmup], export: warmup}
"""


def test_a_recipe_is_its_family_and_one_of_its_sizes(recipe, tmp_path):
    found = recipe(WHOLE)
    assert (found.family, found.size, found.name) == ("some", "tiny", "some-tiny")
    assert found.folder == tmp_path / "recipes/some"
    assert found.file.stages["warmup"].grace == 60


def test_a_family_s_name_may_be_the_beginning_of_another_s(recipe, tmp_path):
    recipe(WHOLE)
    longer = recipe(WHOLE.replace("name: some", "name: some-more"), name="some-more")
    assert (longer.family, longer.size) == ("some-more", "tiny")
    assert read_recipe("some-tiny", tmp_path).family == "some"
    assert families(tmp_path) == ["some", "some-more"]
    assert names(tmp_path) == ["some-tiny", "some-more-tiny"]


@pytest.mark.parametrize(
    ("old", "new", "error"),
    [
        (
            "name: some",
            "name: other",
            "error: `FILE`: `name` is `other`\n\nhint: the folder is called `some`",
        ),
        (
            "uses: [batch]",
            "use: [batch]",
            "error: `FILE`: unknown key `use` under `stages.warmup`\n\nhint: did you mean `uses`?",
        ),
        (
            "run: [python]",
            "run: []",
            "error: `FILE`: `stages.warmup.run` is `[]`: list should have at least 1 item after validation, not 0\n\n"
            "hint: correct `stages.warmup.run`",
        ),
        (
            "repo: tiny",
            "rebo: tiny",
            "error: `FILE`: the key `models.student.repo` is missing\n\nhint: add `repo:`",
        ),
        (
            "warmup: {",
            "warm-up: {",
            "error: `FILE`: `stages.warm-up.[key]` is `'warm-up'`: string should match pattern '^[a-z][a-z0-9_]*$'\n\n"
            "hint: correct `stages.warm-up.[key]`",
        ),
        (
            "{train: {",
            "{../train: {",
            "error: `FILE`: `inputs.../train.[key]` is `'../train'`: string should match pattern "
            "'^[a-z][a-z0-9_]*$'\n\nhint: correct `inputs.../train.[key]`",
        ),
        (
            "uses: [batch]}",
            "must: {metrics: {change: {abov: 0}}}}",
            "error: `FILE`: `stages.warmup.must.metrics.change.abov.[key]` is `'abov'`: input should be 'above', "
            "'below', 'equals' or 'at_least'\n\nhint: correct `stages.warmup.must.metrics.change.abov.[key]`",
        ),
        (
            "uses: [batch]}",
            "steps: {rows: train, batch: batch, epochs: 0}}",
            "error: `FILE`: `stages.warmup.steps.epochs` is `0`: input should be greater than 0\n\n"
            "hint: correct `stages.warmup.steps.epochs`",
        ),
        (
            "uses: [batch]}",
            "disk: {modle: student}}",
            "error: `FILE`: the key `stages.warmup.disk.model` is missing\n\nhint: add `model:`",
        ),
    ],
)
def test_a_fault_in_a_recipe_is_a_sentence(recipe, tmp_path, refusal, old, new, error):
    assert old in WHOLE
    path = str(tmp_path / "recipes/some/recipe.yaml")
    assert refusal(recipe, WHOLE.replace(old, new)).replace(path, "FILE") == error


def test_a_fault_in_a_size_is_a_sentence(recipe, tmp_path, refusal):
    path = str(tmp_path / "recipes/some/sizes/tiny.yaml")
    assert refusal(recipe, WHOLE, size="about: a\nstages: {warmup: {epoch: 1}}").replace(path, "FILE") == (
        "error: `FILE`: unknown key `epoch` under `stages.warmup`\n\nhint: did you mean `epochs`?"
    )


def test_a_recipe_that_there_is_not_is_answered_with_the_nearest(recipe, tmp_path, refusal):
    recipe(WHOLE)
    assert refusal(read_recipe, "some-tiyn", tmp_path) == (
        f"error: there is no recipe `some-tiyn` under `{tmp_path / 'recipes'}`\n\nhint: did you mean `some-tiny`?"
    )
    assert refusal(read_recipe, "x", tmp_path / "empty") == (
        f"error: there is no recipe `x` under `{tmp_path / 'empty/recipes'}`\n\nhint: there is none to choose from"
    )
