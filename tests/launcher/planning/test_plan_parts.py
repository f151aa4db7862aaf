import pytest

from launcher.planning.plan import all_read, check_words, order_of
from launcher.planning.settings import changes_read, shared_settings

TEXT = """
name: some
about: a recipe
image: some
models: {student: {repo: tiny}}
inputs:
  train: {about: rows, rows: 64, sample: sample}
settings: {batch: 8, sample: null, keep: 1}
stages:
  data: {run: [python, "{input.train}", "{out}"]}
  warmup:
    run: [python, "{config}", "{data}/rows", "--work={work}"]
    needs: [data]
    uses: [batch]
    steps: {rows: train, batch: batch, epochs: 2}
    disk: {model: student, checkpoint: 1, kept: keep}
  convert: {run: [python, "{student}", "{out}"], needs: [student], model: student}
lists:
  default: {stages: [data, warmup, convert], names: {student: warmup}, export: convert}
  short: {stages: [data, warmup], names: {student: warmup}, export: student}
"""
WHERE = "`recipes/some/recipe.yaml`"


def test_a_list_whose_stages_come_after_what_they_need_is_an_order(recipe):
    assert order_of(recipe(TEXT), "default").stages == ["data", "warmup", "convert"]
    assert order_of(recipe(TEXT), "short").export == "student"


@pytest.mark.parametrize(
    ("old", "new", "error"),
    [
        (
            "[data, warmup, convert]",
            "[data, wramup, convert]",
            f"error: {WHERE}: list `default` has the unknown stage `wramup`\n\nhint: did you mean `warmup`?",
        ),
        (
            "[data, warmup, convert]",
            "[data, data, convert]",
            f"error: {WHERE}: list `default` has `data` twice\n\nhint: a stage runs once",
        ),
        (
            "[data, warmup, convert]",
            "[warmup, data, convert]",
            f"error: {WHERE}: stage `warmup` needs `data`, which no earlier stage makes\n\n"
            "hint: choose one of `student`",
        ),
        (
            "needs: [student]",
            "needs: [warmpu]",
            f"error: {WHERE}: stage `convert` needs `warmpu`, which no earlier stage makes\n\n"
            "hint: did you mean `warmup`?",
        ),
        (
            "needs: [student]",
            "needs: [convert]",
            f"error: {WHERE}: stage `convert` needs `convert`, which no earlier stage makes\n\n"
            "hint: choose one of `data`, `student`, `warmup`",
        ),
        (
            "names: {student: warmup}, export: convert",
            "names: {student: warmpu}, export: convert",
            f"error: {WHERE}: stage `convert` needs `student`, which no earlier stage makes\n\n"
            "hint: did you mean `student`?",
        ),
        (
            "export: convert",
            "export: convrt",
            f"error: {WHERE}: list `default` exports `convrt`, which it does not run\n\nhint: did you mean `convert`?",
        ),
        (
            "  default:",
            "  defualt:",
            f"error: {WHERE} has no stage list `default`\n\nhint: did you mean `defualt`?",
        ),
    ],
)
def test_a_list_that_does_not_fit_together_is_a_sentence(recipe, refusal, old, new, error):
    assert old in TEXT
    assert refusal(order_of, recipe(TEXT.replace(old, new)), "default") == error


def test_two_stages_that_need_each_other_are_refused(recipe, refusal):
    found = recipe(TEXT.replace('data: {run: [python, "{input.train}", "{out}"]}', "data: {run: [a], needs: [warmup]}"))
    assert refusal(order_of, found, "default") == (
        f"error: {WHERE}: stage `data` needs `warmup`, which no earlier stage makes\n\nhint: choose one of `student`"
    )


def test_a_placeholder_that_nothing_stands_for_is_a_sentence(recipe, refusal):
    found = recipe(TEXT.replace("{data}/rows", "{dta}/rows"))
    assert refusal(check_words, found, "warmup", {"data": "data"}) == (
        f"error: {WHERE}: stage `warmup` has the unknown placeholder `{{dta}}`\n\nhint: did you mean `data`?"
    )
    found = recipe(TEXT.replace("{input.train}", "{input.trian}"))
    assert refusal(check_words, found, "data", {}) == (
        f"error: {WHERE}: stage `data` has the unknown placeholder `{{input.trian}}`\n\n"
        "hint: did you mean `input.train`?"
    )
    check_words(recipe(TEXT), "warmup", {"data": "data"})


def test_a_stage_sees_only_what_it_needs(recipe, refusal):
    assert refusal(check_words, recipe(TEXT), "convert", {}).startswith(
        f"error: {WHERE}: stage `convert` has the unknown placeholder `{{student}}`"
    )


@pytest.mark.parametrize(
    ("old", "new", "error"),
    [
        (
            "uses: [batch]",
            "uses: [bacth]",
            "stage `warmup` uses the unknown setting `bacth`\n\nhint: did you mean `batch`?",
        ),
        (
            "batch: batch",
            "batch: bacth",
            "stage `warmup` uses the unknown setting `bacth`\n\nhint: did you mean `batch`?",
        ),
        (
            "kept: keep",
            "kept: kepe",
            "stage `warmup` uses the unknown setting `kepe`\n\nhint: did you mean `keep`?",
        ),
        (
            "sample: sample",
            "sample: smaple",
            "input `train` uses the unknown setting `smaple`\n\nhint: did you mean `sample`?",
        ),
        (
            "rows: train",
            "rows: trian",
            "stage `warmup` counts the rows of the unknown input `trian`\n\nhint: did you mean `train`?",
        ),
        (
            "disk: {model: student",
            "disk: {model: studnet",
            "stage `warmup` needs the unknown model `studnet`\n\nhint: did you mean `student`?",
        ),
        (
            ", model: student}\nlists",
            ", model: studnet}\nlists",
            "stage `convert` needs the unknown model `studnet`\n\nhint: did you mean `student`?",
        ),
        (
            "keep: 1}",
            "keep: 1, seed: 1}",
            "no stage reads the setting `seed`\n\nhint: list it under a stage's `uses`, or remove it",
        ),
    ],
)
def test_what_is_named_has_to_be_there_and_what_is_set_has_to_be_read(recipe, refusal, old, new, error):
    assert old in TEXT
    found = recipe(TEXT.replace(old, new))
    assert refusal(all_read, found, shared_settings(found, [])) == f"error: {WHERE}: {error}"


def test_a_change_that_no_stage_of_the_list_reads_is_refused(recipe, refusal):
    own = recipe(
        TEXT.replace("uses: [batch]", "uses: [batch, keep]\n    settings: {keep: 5}").replace(", kept: keep", "")
    )
    assert refusal(changes_read, own, "short", [("keep", 2)]) == (
        "error: `--set keep`: no stage of list `short` reads it\n\n"
        "hint: `--set warmup.keep=VALUE`: the stage has its own"
    )
    text = TEXT.replace("model: student}\nlists", "model: student, uses: [lr]}\nlists")
    elsewhere = recipe(text.replace("keep: 1", "keep: 1, lr: 2"))
    assert refusal(changes_read, elsewhere, "short", [("lr", 2)]) == (
        "error: `--set lr`: no stage of list `short` reads it\n\nhint: leave it out"
    )
    changes_read(elsewhere, "default", [("lr", 2)])
    changes_read(recipe(TEXT), "short", [("batch", 2), ("keep", 2), ("sample", 8), ("warmup.epochs", 1)])


def test_a_setting_that_limits_rows_or_counts_checkpoints_is_read(recipe):
    found = recipe(TEXT)
    all_read(found, shared_settings(found, []))
