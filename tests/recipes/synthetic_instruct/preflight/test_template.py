"""What chats become with the base's tokenizer, before anything is paid."""

import json

import pytest

from recipes.common.stage.command import Mistake

from ..conftest import CHATS


@pytest.fixture
def looked(base, tmp_path, capsys):
    from recipes.synthetic_instruct.preflight import template

    def look(repo=base, learn=("chatml", 1024)):
        model = {"repo": str(repo), "revision": "main", "lesson_steps": 0}
        learning = learn and {"template": learn[0], "max_length": learn[1]}
        writing = {"instruction_tokens": 256, "response_tokens": 512}
        for name, value in {"model": model, "generate": writing, "dpo": learning}.items():
            (tmp_path / f"{name}.json").write_text(json.dumps(value))
        words = [*[tmp_path / "model.json"] * 3, "--generate", tmp_path / "generate.json"]
        template.main([str(word) for word in (*words, "--learn", tmp_path / "dpo.json", "--chats", CHATS)])
        return capsys.readouterr().out

    return look


def test_the_shipped_chats_and_the_longest_that_can_come_are_counted(looked):
    said = looked()
    assert said.startswith(
        "no model of the hub is needed; of 40 chats 0.0% over max_length 1,024; the longest that can "
    )
    assert said.endswith(" tokens\n")


def test_what_will_be_cut_is_told(looked):
    assert looked(learn=("chatml", 768)).endswith(" tokens, of which the end is cut\n")


def test_a_template_that_the_base_does_not_know_is_refused(looked):
    with pytest.raises(Mistake) as caught:
        looked(learn=("llama3", 1024))
    assert caught.value.error.startswith("`template` is `llama3`, and the base's vocabulary has no `<|")
    assert caught.value.hint == "use the template of its model family, one of `chatml`, `llama3`, `mistral`"


def test_a_list_without_a_training_of_both_kinds_and_tiny_models_are_not_rendered(looked):
    assert looked(learn=None) == looked(repo="tiny") == "no model of the hub is needed\n"
