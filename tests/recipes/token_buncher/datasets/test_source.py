"""Rows in a file, or in a file of the hub that a file names."""

import json
import re

import pytest

from recipes.common.data import hub
from recipes.token_buncher.datasets.source import HUB, locate, read_pointer
from recipes.token_buncher.preflight.data import INPUTS

POINTER = {"repo": "owner/data", "revision": "0" * 40, "file": "train.jsonl.gz"}


@pytest.mark.parametrize("name", INPUTS)
def test_every_default_names_a_commit(name):
    pointer = read_pointer(HUB / f"{name}.jsonl")
    assert pointer and re.fullmatch("[0-9a-f]{40}", pointer["revision"])


def test_a_pointer_is_fetched_at_its_commit_and_rows_are_taken_as_they_are(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(hub, "dataset_file", lambda *words: asked.append(words) or tmp_path / "fetched")
    (tmp_path / "pointer.jsonl").write_text(json.dumps(POINTER))
    (tmp_path / "rows.jsonl").write_text('{"question": "a"}\n')
    found = locate(tmp_path / "pointer.jsonl", None, tmp_path)
    assert found.path == tmp_path / "fetched" and found.name == f"owner/data@{'0' * 40}:train.jsonl.gz"
    assert locate(tmp_path / "rows.jsonl", None, tmp_path).path == tmp_path / "rows.jsonl"
    locate(tmp_path / "pointer.jsonl", "main", None)
    assert asked == [
        ("owner/data", "0" * 40, "train.jsonl.gz", tmp_path),
        ("owner/data", "main", "train.jsonl.gz", None),
    ]


def test_a_revision_of_a_file_with_rows_is_refused(tmp_path, refusal):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"question": "a"}\n')
    assert refusal(locate, path, "main", None) == (
        f"error: `{path}` holds rows and has no revision `main`\n\n"
        "hint: leave `--revision` out, or name a file of `recipes/token_buncher/hub`"
    )


def test_a_pointer_of_something_else_is_refused(tmp_path, refusal):
    path = tmp_path / "pointer.jsonl"
    path.write_text('{"repo": "a/b", "revision": 1, "file": "c"}')
    assert refusal(locate, path, None, None) == (
        f'error: `{path}`: `{{"repo": "a/b", "revision": 1, "file": "c"}}` does not name a file of the hub\n\n'
        "hint: give its three values as texts"
    )


@pytest.mark.parametrize("rows", [[POINTER, POINTER], [{**POINTER, "more": 1}], [{"repo": "a/b"}], []])
def test_only_one_row_of_three_names_is_a_pointer(tmp_path, rows):
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert read_pointer(path) is None


def test_without_the_hub_the_sentence_names_the_data_set(refusal, tmp_path, monkeypatch):
    pytest.importorskip("huggingface_hub")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    said = refusal(locate, HUB / "gsm8k_test.jsonl", None, tmp_path)
    assert said.startswith("error: `datasets/openai/gsm8k` is to be downloaded, but HF_HUB_OFFLINE is set")
