"""What was left for a run in memory is taken once."""

import json
import os

import pytest

from launcher.runfolder import secrets


@pytest.fixture
def memory(tmp_path, monkeypatch):
    monkeypatch.setattr(secrets, "MEMORY", tmp_path)
    monkeypatch.setenv("HF_TOKEN", "before")
    return tmp_path


def test_what_was_left_is_in_the_environment_and_nowhere_else(memory):
    secrets.secrets_path("r").write_text(json.dumps({"HF_TOKEN": "hf_x", "OTHER_OF_THE_TEST": "1"}))
    secrets.secrets_path("other").write_text("{}")
    secrets.load_secrets("r")
    assert (os.environ["HF_TOKEN"], os.environ.pop("OTHER_OF_THE_TEST")) == ("hf_x", "1")
    assert [path.name for path in memory.iterdir()] == ["launcher-other.secrets"]
    secrets.load_secrets("r")
    assert os.environ["HF_TOKEN"] == "hf_x"


def test_where_nothing_was_left_nothing_changes(memory, monkeypatch):
    secrets.load_secrets("r")
    monkeypatch.setattr(secrets, "MEMORY", memory / "no-such-folder")
    secrets.load_secrets("r")
    assert os.environ["HF_TOKEN"] == "before"
