import dataclasses
import json
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from launcher.commands.plan import script
from launcher.runfolder.plan import Code, Input, Plan, Source, Stage

PLAN = Plan("run", "some-tiny", (), "one", Code("tree"))
SHOW = "import json, sys; print(json.dumps(sys.argv[1:]))"


def shell(text, cwd, **env):
    done = subprocess.run(
        ["sh"], input=text.encode(), cwd=cwd, env={"PATH": "/usr/bin:/bin", **env}, capture_output=True
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def words_of(stage, tmp_path, **plan):
    """The words that the real shell gives to a stage's command, and its config file's value."""
    stage = dataclasses.replace(stage, argv=("printf", "%s\\0", *stage.argv))
    said = shell(script(dataclasses.replace(PLAN, stages=(stage,), **plan)), tmp_path, RUN=str(tmp_path / "r"))
    config = json.loads((tmp_path / f"r/stages/{stage.name}/config.json").read_text())
    return [word.decode("utf-8", "surrogateescape") for word in said.split(b"\0")[:-1]], config


word = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12) | st.sampled_from(
    [
        "$(touch broken)",
        "`touch broken`",
        "';touch broken;'",
        '";touch broken;"',
        "a\nb",
        "$HOME",
        "\\",
        "!!",
        "-n",
        "é ü",
    ]
)


@settings(max_examples=25, deadline=None)
@given(words=st.lists(word, max_size=6), setting=word, path=word)
def test_no_character_breaks_out_of_a_word_a_setting_or_a_path(tmp_path_factory, words, setting, path):
    tmp_path = tmp_path_factory.mktemp("shell")
    words = [word.replace("{", "(") for word in words]
    stage = Stage("one", (*words, f"a{'$'.join(words)}{{work}}/{path.replace('{', '(')}"), config={"s": setting})
    found, config = words_of(stage, tmp_path)
    assert found == [*words, f"a{'$'.join(words)}{tmp_path}/r/stages/one/work/{path.replace('{', '(')}"]
    assert config == {"s": setting}
    assert sorted(one.name for one in tmp_path.iterdir()) == ["r"]


def test_every_placeholder_of_a_word_is_replaced(tmp_path):
    stage = Stage("two", ("{config}", "{work}:{out}:{one}/x", "{input.train}"), {"one": "before"}, steps=3)
    found, config = words_of(stage, tmp_path)
    run = f"{tmp_path}/r"
    own = f"{run}/stages/two"
    assert found == [f"{own}/config.json", f"{own}/work:{own}/out:{run}/stages/before/out/x", f"{run}/inputs/train"]
    assert config == {"steps": 3}


@pytest.mark.parametrize("name", ["a b.jsonl", "a'b.jsonl", 'a"$(touch broken).jsonl', "a\nb.jsonl", "é;x.jsonl"])
def test_an_input_of_any_name_is_copied(tmp_path, name):
    (tmp_path / name).write_text("content")
    inputs = {"train": Input(str(tmp_path / name), "train.jsonl", 7, "0" * 64, 1)}
    words_of(Stage("one", ("{input.train}",)), tmp_path, inputs=inputs)
    assert (tmp_path / "r/inputs/train.jsonl").read_text() == "content"
    assert not (tmp_path / "broken").exists()


def test_a_source_s_ref_and_folder_cannot_break_out(tmp_path):
    source = Source("/not/there", "main\ntouch broken", "a" * 40, "p", 'x"; touch "broken $HOME `touch broken`')
    (tmp_path / "r/sources" / ("a" * 40)).mkdir(parents=True)
    stage = Stage("one", ("sh", "-c", 'printf %s "$PYTHONPATH"'), source="s")
    text = script(dataclasses.replace(PLAN, stages=(stage,), sources={"s": source}))
    (tmp_path / "git").write_text("#!/bin/sh\n")
    (tmp_path / "git").chmod(0o755)
    said = shell(text, tmp_path, RUN=str(tmp_path / "r"), PATH=f"{tmp_path}:/usr/bin:/bin")
    assert said.decode() == f"{tmp_path}/r/sources/{'a' * 40}/{source.folder}"
    assert not (tmp_path / "broken").exists()


def test_the_script_of_a_plan_makes_what_a_launch_makes_and_can_be_run_twice(toy):
    done = toy.launcher("plan", "toy-tiny", "--shell")
    assert done.returncode == 0
    import sys
    from pathlib import Path

    path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    for _ in range(2):
        shell(done.stdout, toy.root, PATH=path, RUN=str(toy.root / "by hand"))
    assert int((toy.root / "by hand/stages/again/out/total.txt").read_text()) == toy.total
    assert not (toy.root / "runs").exists()


def test_a_plan_without_its_data_is_a_script_too(toy):
    toy.change_recipe(", default: recipes/toy/numbers.jsonl", "")
    done = toy.launcher("plan", "toy-tiny", "--shell")
    assert done.returncode == 0, done.stderr
    assert '--numbers "$RUN/inputs/train" --work' in done.stdout
