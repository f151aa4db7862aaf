"""Reading a stage's settings."""

import json
from dataclasses import dataclass

import pytest

from recipes.common.preflight.settings import check_stages
from recipes.common.stage.command import MISTAKE, Mistake
from recipes.common.stage.settings import read_settings


@dataclass(frozen=True)
class Oven:
    degrees: int
    share: float
    name: str
    fan: bool
    minutes: int | None
    dishes: list
    rack: int = 2

    def __post_init__(self):
        if self.degrees > 300:
            raise ValueError(f"`degrees` is `{self.degrees}`, more than 300")


GOOD = {"degrees": 180, "share": 1, "name": "a", "fan": True, "minutes": None, "dishes": ["pie"]}


def test_values_arrive_and_defaults_fill_in(tmp_path):
    path = tmp_path / "oven.json"
    path.write_text(json.dumps(GOOD))
    assert read_settings(path, Oven) == Oven(180, 1, "a", True, None, ["pie"], 2)


@pytest.mark.parametrize(
    ("text", "error", "hint"),
    [
        (
            "{",
            "`{path}`: not JSON: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)",
            None,
        ),
        ("[]", "`{path}`: not a JSON object", "write one JSON object"),
        ({"degres": 1}, "`{path}`: unknown key `degres`", "did you mean `degrees`?"),
        (
            {"colour": 1},
            "`{path}`: unknown key `colour`",
            "the keys are `degrees`, `share`, `name`, `fan`, `minutes`, `dishes`, `rack`",
        ),
        ({"degrees": "180"}, '`{path}`: `degrees` is `"180"`', "write a value of type whole number"),
        ({"degrees": True}, "`{path}`: `degrees` is `true`", "write a value of type whole number"),
        ({"fan": 1}, "`{path}`: `fan` is `1`", "write a value of type true or false"),
        ({"minutes": 1.5}, "`{path}`: `minutes` is `1.5`", "write a value of type whole number or null"),
        ({"dishes": "pie"}, '`{path}`: `dishes` is `"pie"`', "write a value of type list"),
        ({"degrees": 301}, "`{path}`: `degrees` is `301`, more than 300", "change that value"),
    ],
)
def test_a_mistake_is_said_with_file_key_and_value(tmp_path, text, error, hint):
    path = tmp_path / "oven.json"
    path.write_text(text if isinstance(text, str) else json.dumps(GOOD | text))
    with pytest.raises(Mistake) as caught:
        read_settings(path, Oven)
    assert caught.value.error == error.replace("{path}", str(path))
    assert caught.value.hint == (hint or "write one JSON object")
    assert caught.value.code == MISTAKE


def test_a_missing_key_is_named(tmp_path):
    path = tmp_path / "oven.json"
    path.write_text(json.dumps({key: value for key, value in GOOD.items() if key != "share"}))
    with pytest.raises(Mistake) as caught:
        read_settings(path, Oven)
    assert caught.value.error == f"`{path}`: no key `share`"
    assert caught.value.hint == "write `share` with a value of type number"


def test_an_absent_file_is_a_mistake(tmp_path):
    with pytest.raises(Mistake) as caught:
        read_settings(tmp_path / "oven.json", Oven)
    assert caught.value.error == f"`{tmp_path}/oven.json`: no such file"
    assert caught.value.hint == "the first argument is the stage's JSON settings"


@dataclass(frozen=True)
class Pan:
    litres: float


KINDS = {"oven": Oven, "pan": Pan}


def look(settings):
    if isinstance(settings, Pan) and settings.litres > 9:
        raise Mistake("the pan is heavy", "take two")


def checked(path, *stages, cloud="local"):
    keys = ("stage", "kind", "settings")
    path.write_text(json.dumps([{**dict(zip(keys, stage, strict=True)), "cloud": cloud} for stage in stages]))
    check_stages("Looks.", KINDS, [str(path)], look)


def test_all_stages_are_looked_at_in_one_go(tmp_path, capsys):
    checked(tmp_path / "request.json", ("bake", "oven", GOOD), ("boil", "pan", {"litres": 2}))
    assert capsys.readouterr().out == "bake: fine\nboil: fine\n"


@dataclass(frozen=True)
class Writing:
    device: str
    engine: str = ""
    rollout: str = ""


@pytest.mark.parametrize(("name", "light"), [("engine", "transformers"), ("rollout", "hf")])
@pytest.mark.parametrize("cloud", ["docker", "slurm", "runpod,lambda"])
def test_vllm_on_a_cpu_is_refused_where_no_image_has_it(tmp_path, monkeypatch, cloud, name, light):
    monkeypatch.setitem(KINDS, "writing", Writing)
    path = tmp_path / "request.json"
    for settings in ({"device": "cuda", name: "vllm"}, {"device": "cpu", name: light}):
        checked(path, ("write", "writing", settings), cloud=cloud)
    checked(path, ("write", "writing", {"device": "cpu", name: "vllm"}))
    with pytest.raises(Mistake) as caught:
        checked(path, ("write", "writing", {"device": "cpu", name: "vllm"}), cloud=cloud)
    assert caught.value.error == (
        f"stage `write`: `{name}` is `vllm` and `device` is `cpu`: no image has vLLM's build for CPUs"
    )
    assert caught.value.hint.startswith(f"set `{name}` to `{light}`")


@pytest.mark.parametrize(
    ("stage", "error", "hint"),
    [
        (("boil", "pan", {"litre": 2}), "stage `boil`: unknown key `litre`", "did you mean `litres`?"),
        (("boil", "pan", [2]), "stage `boil`: not a JSON object", "write one JSON object"),
        (("boil", "pan", {"litres": 10}), "stage `boil`: the pan is heavy", "take two"),
        (
            ("boil", ["pan"], {}),
            "stage `boil`: unknown kind `['pan']` of settings",
            "the kinds are `oven`, `pan`",
        ),
        (("boil", "pot", {}), "stage `boil`: unknown kind `pot` of settings", "the kinds are `oven`, `pan`"),
    ],
)
def test_the_stage_of_a_mistake_is_named(tmp_path, stage, error, hint):
    with pytest.raises(Mistake) as caught:
        checked(tmp_path / "request.json", ("bake", "oven", GOOD), stage)
    assert (caught.value.error, caught.value.hint) == (error, hint)


@pytest.mark.parametrize("request_", ["{}", "[5]", '[{"stage": "bake", "settings": {}}]', '[{"stage": 1, "kind": []}]'])
def test_a_request_that_is_none_is_a_mistake(tmp_path, request_):
    path = tmp_path / "request.json"
    path.write_text(request_)
    with pytest.raises(Mistake) as caught:
        check_stages("Looks.", KINDS, [str(path)])
    assert caught.value.error == f"`{path}`: not a list of stages"
    assert caught.value.hint == "each stage has `cloud`, `kind`, `settings`, `stage`"
