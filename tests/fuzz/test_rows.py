"""The recipes' own looks at data and settings, with rows, files and settings that nobody meant to write."""

import gzip
import importlib
import io
import json
import sys
from pathlib import Path

import pyarrow
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from launcher.config.recipe import names, read_recipe
from launcher.config.site import SiteFile
from launcher.errors import LaunchError
from launcher.planning.request import Request, draft, measure
from launcher.runfolder.plan import settings_of
from recipes.common.data import rows
from recipes.common.model import fetch
from recipes.common.stage.command import StageError
from recipes.common.stage.files import read_json

from .hostile import as_json, damaged, mutated, spliced, trials, written

ROOT = Path(__file__).parent.parent.parent
CHECKS = {
    "gad/sample/train.jsonl": ("gad.preflight.data", "--train"),
    "honest_persona/sample/data.jsonl": ("honest_persona.preflight.data", "--data"),
    "token_buncher/sample/beavertails.jsonl": ("token_buncher.preflight.data", "--beavertails"),
    "token_buncher/sample/gsm8k_test.jsonl": ("token_buncher.preflight.data", "--gsm8k_test"),
    "token_buncher/sample/wmdp_bio.jsonl": ("token_buncher.preflight.data", "--wmdp_bio"),
}
SAMPLES = {
    name: [json.loads(line) for line in (ROOT / "recipes" / name).read_text().splitlines()[:4]] for name in CHECKS
}
MOST = 20_000
"""Characters of a sentence: rows are named, not shown whole."""


def refused(call, *args):
    """The sentence that a recipe's command refuses with; None when it does not. All else is a defect."""
    try:
        call(*args)
    except StageError as problem:
        assert problem.code in (2, 3) and problem.error.strip() and problem.hint.strip()
        assert len(problem.error) < MOST
        return problem.error
    return None


def check(name, path):
    """The check that the recipe's `check:` runs, what `launcher plan` counts, and what a tiny model learns from."""
    module, option = CHECKS[name]
    said = refused(importlib.import_module(f"recipes.{module}").main, [option, str(path)])
    refused(lambda: list(fetch.strings(path)))
    if refused(lambda: rows.count(path)) is None:
        assert said or rows.count(path) > 0 or name.startswith("token")
    try:
        measure("train", path)
    except LaunchError as problem:
        assert problem.code == 2
    return said


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("rows")


@pytest.mark.parametrize("name", CHECKS)
def test_the_samples_are_good(folder, name, capsys):
    assert check(name, ROOT / "recipes" / name) is None
    table(SAMPLES[name], folder / "a.parquet")
    if not name.startswith("honest"):  # whose rows have keys of their own, which a table does not
        assert check(name, folder / "a.parquet") is None


@trials(60)
@given(name=st.sampled_from(sorted(CHECKS)), data=st.data())
def test_rows_are_used_or_named(folder, name, data):
    lines = [
        as_json(value) for value in data.draw(mutated(SAMPLES[name], 4).filter(lambda value: isinstance(value, list)))
    ]
    text = "\n".join(lines)
    if data.draw(st.booleans()):
        text = data.draw(spliced(text))
    raw = written(text)
    path = folder / "a.jsonl"
    path.write_bytes(
        data.draw(st.sampled_from((raw, gzip.compress(raw), gzip.compress(raw)[:-9], b"\xef\xbb\xbf" + raw)))
    )
    check(name, path)


def table(found, path):
    parquet.write_table(pyarrow.Table.from_pylist(found), path)


@trials(40)
@given(name=st.sampled_from(sorted(CHECKS)), data=st.data())
def test_a_parquet_file_is_used_or_named(folder, name, data):
    found = data.draw(st.just(SAMPLES[name]) | mutated(SAMPLES[name]))
    path, buffer = folder / "a.parquet", io.BytesIO()
    try:
        table(found, buffer)
    except (pyarrow.ArrowException, OverflowError, AttributeError, LookupError, TypeError, ValueError, RecursionError):
        table(SAMPLES[name], buffer := io.BytesIO())  # no such table can be written
    raw = buffer.getvalue()
    path.write_bytes(data.draw(st.just(raw) | damaged(raw)))
    check(name, path)


ODD_TYPES = {
    "times beyond any calendar": pyarrow.array([2**62], pyarrow.timestamp("us")),
    "nanoseconds": pyarrow.array([1], pyarrow.timestamp("ns")),
    "days beyond any calendar": pyarrow.array([2**31 - 1], pyarrow.date32()),
    "bytes": pyarrow.array([b"\xff"]),
    "decimals": pyarrow.array([1], pyarrow.decimal128(38, 10)),
    "maps": pyarrow.array([[("a", 1)]], pyarrow.map_(pyarrow.string(), pyarrow.int64())),
    "time zones": pyarrow.array([1], pyarrow.timestamp("us", "no/such")),
    "durations": pyarrow.array([2**62], pyarrow.duration("ms")),
}


@pytest.mark.parametrize("kind", ODD_TYPES)
@pytest.mark.parametrize("name", CHECKS)
def test_a_column_of_a_type_that_python_has_not_is_no_traceback(folder, kind, name):
    column = next(iter(SAMPLES[name][0]))
    good = pyarrow.Table.from_pylist(SAMPLES[name][:1])
    for changed in (good.append_column("odd", ODD_TYPES[kind]), good.set_column(0, column, ODD_TYPES[kind])):
        parquet.write_table(changed, folder / "odd.parquet")
        check(name, folder / "odd.parquet")


def test_a_line_without_an_end_is_a_sentence_before_it_fills_the_memory(folder, monkeypatch):
    monkeypatch.setattr(rows, "LONGEST", 1 << 20)
    path = folder / "long.jsonl"
    path.write_bytes(gzip.compress(b'{"a": "' + b"x" * (8 << 20)))
    for call in (lambda: list(rows.read(path)), lambda: rows.count(path)):
        assert refused(call) == f"`{path}`: line 1 has more than 1 MB"


@pytest.mark.parametrize("text", ["9" * 5000, "[" * 100_000, '{"a":' * 100_000])
def test_numbers_without_end_and_lists_in_lists_are_bad_rows(folder, text):
    path = folder / "deep.jsonl"
    path.write_text(f'{{"a": {text}}}\n')
    (found,) = rows.read(path)
    assert isinstance(found.value, rows.BadRow)


def settings():
    """(recipe, stages and stage, the check's module, its kind, the settings that the stage would get) of every tiny
    recipe."""
    for name in (recipe for recipe in names(ROOT) if recipe.endswith("-tiny")):
        recipe = read_recipe(name, ROOT)
        for order in recipe.file.lists:
            plan = draft(Request(name, stages=order), ROOT, SiteFile()).plan
            for stage in plan.stages:
                if kind := recipe.file.stages[stage.name].check:
                    own = {"hub_repo": "me/it"} if "hub_repo" in stage.config else {}
                    module = recipe.file.settings_check[2]
                    yield f"{name} {order} {stage.name}", (module, kind, settings_of(stage) | own)


SETTINGS = dict(settings())


@trials(80)
@given(name=st.sampled_from(sorted(SETTINGS)), data=st.data())
def test_settings_are_accepted_or_refused(folder, name, data):
    module, kind, good = SETTINGS[name]
    text = as_json(data.draw(mutated(good, 2)))
    if data.draw(st.integers(0, 3)) == 0:
        text = data.draw(spliced(text))
    looked_at(folder, module, kind, text)


def looked_at(folder, module, kind, text):
    """The recipe's check of one stage's settings, which are this JSON."""
    path = folder / "request.json"
    path.write_bytes(written(f'[{{"stage": "it", "kind": {json.dumps(kind)}, "settings": {text}, "cloud": "local"}}]'))
    before, sys.argv = sys.argv, [module, str(path)]
    try:
        return refused(importlib.import_module(module).main)
    finally:
        sys.argv = before


def test_the_tiny_recipes_settings_are_good(folder):
    for name, (module, kind, good) in SETTINGS.items():
        assert looked_at(folder, module, kind, json.dumps(good)) is None, name
    assert read_json(folder / "none.json") is None
