"""Every rule knows its own recorded logs, no other rule does, and none speaks of a run that is well."""

import re
from pathlib import Path

import pytest
import yaml

from launcher.diagnosis.rules import Knob, rules

HERE = Path(__file__).parent
RULES = rules()
SAMPLES = sorted((HERE / "samples").glob("*.txt"))
HEALTHY = sorted((HERE / "healthy").glob("*.txt"))
FILLED = {"run", "recipe", "cloud", "stage"}


def matching(path):
    """The names of the rules that know the log."""
    kind, text = path.name.split(".")[-2], path.read_text()
    return [rule.name for rule in RULES if kind in rule.where and rule.first(text)]


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_a_recorded_log_is_known_by_its_rule_and_by_no_other(path):
    assert matching(path) == [path.name.split(".")[0]]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_every_rule_has_a_recorded_log(rule):
    assert [path for path in SAMPLES if path.name.split(".")[0] == rule.name]


@pytest.mark.parametrize("path", HEALTHY, ids=lambda path: path.stem)
def test_no_rule_speaks_of_a_run_that_is_well(path):
    assert matching(path) == []


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_what_a_rule_says_can_be_filled(rule):
    for pattern in rule.seen:
        found = FILLED | set(re.compile(pattern).groupindex)
        for text in (rule.cause, rule.help):
            assert set(re.findall(r"\{(\w+)\}", text)) <= found, pattern
    assert set(re.findall(r"\{(\w+)\}", rule.next)) <= FILLED
    assert rule.next in ("resume", "launch") or rule.next.startswith("launcher ")
    assert not rule.help.endswith(".") and not rule.cause.endswith(".")


def test_names_are_not_given_twice():
    assert len({rule.name for rule in RULES}) == len(RULES)


def test_every_knob_is_a_setting_of_some_recipe(project):
    known = set()
    for path in project.glob("recipes/*/recipe.yaml"):
        recipe = yaml.safe_load(path.read_text())
        known |= set(recipe["settings"])
        for stage in recipe["stages"].values():
            known |= set(stage.get("settings") or {})
    assert {knob.setting for rule in RULES for knob in rule.knobs} <= known


@pytest.mark.parametrize(
    ("knob", "value", "after"),
    [
        ({"times": 0.5, "least": 512}, 12288, 6144),
        ({"times": 0.5, "least": 512}, 600, None),
        ({"times": 0.5, "least": 1}, 1, None),
        ({"times": 0.5, "least": 1}, 3, 1),
        ({"times": 2, "most": 8}, 4, 8),
        ({"times": 2, "most": 8}, 8, None),
        ({"times": 0.5}, 1e-6, 5e-7),
        ({"minus": 0.1, "least": 0.3}, 0.7, 0.6),
        ({"minus": 0.1, "least": 0.3}, 0.35, None),
        ({"minus": -0.1, "most": 0.9}, 0.85, None),
        ({"minus": -0.1, "most": 0.9}, 0.8, 0.9),
        ({"to": True}, False, True),
        ({"to": True}, True, None),
        ({"to": True}, None, None),
        ({"times": 0.5}, None, None),
        ({"times": 0.5}, True, None),
        ({"times": 0.5}, "auto", None),
    ],
)
def test_a_knob_turns_as_far_as_it_goes(knob, value, after):
    assert Knob(setting="x", **knob).next_value(value) == after
