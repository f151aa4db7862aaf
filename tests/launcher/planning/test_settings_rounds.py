import pytest

from launcher.planning.plan import order_of
from launcher.planning.settings import with_rounds

TEXT = """
name: some
about: a recipe
image: some
stages:
  model: {run: [a]}
  write: {run: [a, "{model}", --round, "{round}"], needs: [model], settings: {length: 1}}
  train: {run: [a, "{model}", "{write}", "{base}"], needs: [model, write, base]}
  weigh: {run: [a, "{train}"], needs: [train]}
  export:
    run: [a, "{weigh}"]
    each: [--of, "train{round}={train{round}}"]
    needs: [weigh, model, "train{round}"]
lists:
  default:
    stages: [model, write, train, weigh, export]
    names: {base: model}
    rounds: {stages: [write, train, weigh], later: {model: weigh}}
    export: export
  short: {stages: [model, write], export: write}
"""


def test_a_later_round_takes_what_the_one_before_has_made(recipe):
    found = with_rounds(recipe(TEXT), "default", 3)
    rounds = [f"{stage}{number}" for number in ("", 2, 3) for stage in ("write", "train", "weigh")]
    assert order_of(found, "default").stages == ["model", *rounds, "export"]
    stages = found.file.stages
    assert stages["train"].needs == {"model": "model", "write": "write", "base": "base"}
    assert stages["train2"].needs == {"model": "weigh", "write": "write2", "base": "base"}
    assert stages["write3"].needs == {"model": "weigh2"}
    assert [stages[one].run[-1] for one in ("write", "write2", "write3")] == ["1", "2", "3"]
    assert stages["train3"].run == stages["train"].run


def test_what_follows_takes_the_last_round_and_lists_all(recipe):
    found = with_rounds(recipe(TEXT), "default", 3).file.stages["export"]
    of = ["--of", "train={train}", "--of", "train2={train2}", "--of", "train3={train3}"]
    assert found.run == ["a", "{weigh}", *of]
    assert found.needs == {
        "weigh": "weigh3",
        "model": "model",
        "train": "train",
        "train2": "train2",
        "train3": "train3",
    }


def test_once_is_the_recipe_as_it_is_written(recipe):
    found = with_rounds(recipe(TEXT), "default", 1)
    assert order_of(found, "default").stages == ["model", "write", "train", "weigh", "export"]
    assert found.file.stages["export"].run == ["a", "{weigh}", "--of", "train={train}"]
    assert found.file.stages["train"] == recipe(TEXT).file.stages["train"]


def test_what_is_exported_and_what_a_size_changes_are_of_every_round(recipe):
    text = TEXT.replace("    export: export\n", "    export: weigh\n").replace("weigh, export]", "weigh]")
    found = with_rounds(recipe(text, "about: a size\nstages: {write: {settings: {length: 2}}}"), "default", 2)
    assert found.file.lists["default"].export == "weigh2"
    assert found.change.stages["write2"].settings == {"length": 2}


def test_needs_may_be_called_otherwise_than_their_stages(recipe):
    found = recipe(TEXT.replace("needs: [train]", "needs: {trained: train}"))
    assert with_rounds(found, "default", 2).file.stages["weigh2"].needs == {"trained": "train2"}


@pytest.mark.parametrize("name", ["short", "other"])
def test_a_list_without_rounds_is_done_once(recipe, refusal, name):
    found = recipe(TEXT)
    assert with_rounds(found, name, 1) is found
    assert refusal(with_rounds, found, name, 2) == (
        f"error: `--rounds 2`: `some` has no rounds in its stages `{name}`\n\nhint: leave it out"
    )


def test_rounds_of_a_stage_that_is_not_run_are_refused(recipe, refusal):
    found = recipe(TEXT.replace("[write, train, weigh], later", "[write, trian, weigh], later"))
    assert refusal(with_rounds, found, "default", 1) == (
        "error: `recipes/some/recipe.yaml`: list `default` repeats `trian`, which it does not run\n\n"
        "hint: `rounds.stages` are some of its `stages`"
    )


def test_words_for_each_round_need_rounds(recipe, refusal):
    found = with_rounds(
        recipe(TEXT.replace("[model, write], export: write", "[model, export], export: export")), "short", 1
    )
    assert refusal(order_of, found, "short") == (
        "error: `recipes/some/recipe.yaml`: stage `export` has words for `each` round, "
        "but list `short` has no `rounds` before it\n\nhint: put them into its `run`, or give the list `rounds`"
    )


def test_a_taken_placeholder_is_of_an_earlier_stage(recipe, refusal):
    found = with_rounds(recipe(TEXT.replace("later: {model: weigh}", "later: {model: wiegh}")), "default", 2)
    assert refusal(order_of, found, "default").startswith(
        "error: `recipes/some/recipe.yaml`: stage `write2` needs `wiegh`, which no earlier stage makes"
    )
