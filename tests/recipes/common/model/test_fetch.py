"""The stage that puts the model a run starts from into a folder. The hub is a server on this machine."""

import json
import os
import struct
import subprocess
import sys

import httpx
import pytest

from recipes.common.data import hub
from recipes.common.model import fetch
from recipes.common.stage.command import Mistake
from recipes.common.stage.files import read_json
from tests.support.hub import COMMIT, environment, serve


def safetensors(**shapes):
    header, end = {"__metadata__": {"format": "pt"}}, 0
    for name, shape in shapes.items():
        size = 4 * shape[0] * shape[1]
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + bytes(end)


FILES = {
    "config.json": b"{}",
    "tokenizer_config.json": b"{}",
    "chat_template.jinja": b"{{ messages }}",
    "model.safetensors": safetensors(a=[3, 4], b=[5, 1]),
}
OTHERS = {
    "README.md": b"# tiny",
    "modeling_tiny.py": b"",
    "pytorch_model.bin": b"pickle",
    "consolidated.safetensors": safetensors(a=[3, 4]),
    "onnx/config.json": b"{}",
}


@pytest.fixture(scope="module")
def server():
    every = FILES | OTHERS
    repos = {"owner/open": every, "owner/gated": every, "owner/pickles": {"pytorch_model.bin": b"pickle"}}
    with serve(repos, frozenset({"owner/gated"})) as server:
        yield server


@pytest.fixture
def stage(tmp_path, pytestconfig, server):
    """Runs the stage as the node does and gives (exit code, sentence) back."""
    server.requests.clear()

    def run(settings, *more, endpoint=server.url, token=None):
        (tmp_path / "settings.json").write_text(json.dumps(settings))
        secret = {"HF_TOKEN": token} if token else {}
        command = [sys.executable, "-m", "recipes.common.model.fetch", str(tmp_path / "settings.json")]
        command += ["--out", str(tmp_path / "out"), "--work", str(tmp_path / "work"), *map(str, more)]
        done = subprocess.run(
            command,
            cwd=pytestconfig.rootpath,
            env=environment(endpoint, tmp_path / "home") | secret,
            capture_output=True,
            text=True,
        )
        # A progress bar may stand before the sentence.
        return done.returncode, done.stderr[done.stderr.find("error:") :] if done.returncode else ""

    return run


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "local"
    folder.mkdir()
    for name, body in FILES.items():
        (folder / name).write_bytes(body)
    return folder


def contents(out):
    return {path.name: path.read_bytes() for path in out.iterdir() if path.name != "metrics.json"}


@pytest.mark.parametrize("revision", [COMMIT, "main"])
def test_a_hub_repository_becomes_real_files_linked_to_the_cache(stage, tmp_path, revision):
    assert stage({"repo": "owner/open", "revision": revision}) == (0, "")
    out = tmp_path / "out"
    assert contents(out) == FILES
    assert not any(path.is_symlink() for path in out.iterdir())
    assert (out / "model.safetensors").stat().st_nlink == 2
    size = len(FILES["model.safetensors"])
    assert read_json(out / "metrics.json") == {
        "repo": "owner/open",
        "revision": COMMIT,
        "parameters": 17,
        "bytes": size,
    }


def test_a_second_run_fetches_no_file_again(stage, tmp_path, server):
    settings = {"repo": "owner/open", "revision": COMMIT}
    stage(settings)
    server.requests.clear()
    assert stage(settings) == (0, "")
    assert contents(tmp_path / "out") == FILES
    assert [path for command, path, _ in server.requests if command == "GET" and "/resolve/" in path] == []


def test_the_token_comes_from_the_environment(stage, tmp_path, server):
    (tmp_path / "home").mkdir()
    (tmp_path / "home/token").write_text("saved")
    stage({"repo": "owner/open", "revision": COMMIT})
    assert {token for _, _, token in server.requests} == {None}
    assert stage({"repo": "owner/gated", "revision": COMMIT}, token="good") == (0, "")


@pytest.mark.parametrize(
    ("repo", "revision", "token", "error", "hint"),
    [
        (
            "owner/gated",
            COMMIT,
            None,
            "`owner/gated` is gated and HF_TOKEN is not set",
            "accept its terms at {hub}/owner/gated and set HF_TOKEN to a read token",
        ),
        (
            "owner/gated",
            COMMIT,
            "other",
            "`owner/gated` is gated and HF_TOKEN's account has no access",
            "ask for access at {hub}/owner/gated",
        ),
        (
            "owner/absent",
            COMMIT,
            None,
            "the hub has no repository `owner/absent`",
            "check the spelling; a private repository needs HF_TOKEN of an account that may read it",
        ),
        (
            "owner/open",
            "f" * 40,
            None,
            f"`owner/open` has no revision `{'f' * 40}`",
            "its commits are listed at {hub}/owner/open/commits/main",
        ),
        (
            "owner/open",
            "v9",
            None,
            "`owner/open` has no revision `v9`",
            "its commits are listed at {hub}/owner/open/commits/main",
        ),
        (
            "owner/pickles",
            "main",
            None,
            "`owner/pickles` has no safetensors weights",
            "convert it: `save_pretrained` writes them",
        ),
        (
            "a/b/c",
            "main",
            None,
            "`a/b/c` is not a repository's name",
            "write `owner/name`, or a folder that starts with `/`",
        ),
    ],
)
def test_what_only_the_user_can_mend_is_a_mistake(stage, server, repo, revision, token, error, hint):
    hint = hint.format(hub=server.url)
    assert stage({"repo": repo, "revision": revision}, token=token) == (2, f"error: {error}\n\nhint: {hint}\n")


@pytest.mark.parametrize("revision", [COMMIT, "main"])
def test_a_hub_out_of_reach_is_a_failure_to_try_again(stage, revision):
    code, text = stage({"repo": "owner/open", "revision": revision}, endpoint="http://127.0.0.1:9")
    assert code == 3
    assert text == (
        "error: http://127.0.0.1:9 cannot be reached for `owner/open`\n\n"
        "hint: check the network and start the run again: finished files are kept\n"
    )


@pytest.mark.parametrize(
    ("status", "error", "hint"),
    [
        (503, "the hub answered 503 for `a/b`", "start the run again later: finished files are kept"),
        (401, "the hub refuses HF_TOKEN for `a/b`", "set HF_TOKEN to a token that can read it"),
    ],
)
def test_other_answers_of_the_hub_are_sentences_too(status, error, hint):
    from huggingface_hub.errors import HfHubHTTPError

    response = httpx.Response(status, request=httpx.Request("GET", "https://hub"))
    sentence = hub.explain(HfHubHTTPError("no", response=response), "a/b", "main")
    assert (sentence.error, sentence.hint) == (error, hint)


def test_offline_mode_is_named():
    from huggingface_hub.errors import OfflineModeIsEnabled

    sentence = hub.explain(OfflineModeIsEnabled("no"), "a/b", "main")
    assert sentence.error == "`a/b` is to be downloaded, but HF_HUB_OFFLINE is set"
    assert sentence.hint == "unset HF_HUB_OFFLINE"


def test_a_failure_of_another_kind_is_not_explained():
    assert hub.explain(MemoryError(), "a/b", "main") is None


def test_a_local_folder_is_linked(folder, tmp_path):
    (folder / "pytorch_model.bin").write_bytes(b"pickle")
    out = tmp_path / "out"
    out.mkdir()
    for _ in range(2):
        metrics = fetch.fetch_model(fetch.Source(str(folder)), [], out, tmp_path / "work")
        assert contents(out) == FILES
    assert (out / "model.safetensors").samefile(folder / "model.safetensors")
    assert metrics["parameters"] == 17
    assert metrics["revision"] is None


def test_a_folder_on_another_file_system_is_copied(folder, tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError("Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    (tmp_path / "out").mkdir()
    fetch.link(folder, tmp_path / "out")
    assert contents(tmp_path / "out") == FILES


def test_tiny_is_made_from_the_texts(stage, tmp_path, pytestconfig):
    sample = pytestconfig.rootpath / "recipes/gad/sample"
    code, _ = stage({"repo": "tiny"}, "--texts", sample / "train.jsonl", sample / "val.jsonl")
    assert code == 0
    metrics = read_json(tmp_path / "out/metrics.json")
    assert 100_000 < metrics["parameters"] < 200_000
    assert metrics["repo"] == "tiny"


@pytest.mark.parametrize(
    ("source", "error", "hint"),
    [
        (
            fetch.Source("tiny"),
            "`tiny` has no texts to train its tokenizer on",
            "add `--texts FILE`, JSONL or parquet",
        ),
        (fetch.Source("./absent"), "no folder `./absent`", "a hub repository is written `owner/name`"),
    ],
)
def test_a_source_that_cannot_be_read_is_a_mistake(tmp_path, source, error, hint):
    with pytest.raises(Mistake) as caught:
        fetch.fetch_model(source, [], tmp_path, tmp_path)
    assert (caught.value.error, caught.value.hint) == (error, hint)


def test_a_hub_repository_names_its_revision():
    with pytest.raises(ValueError, match=r"^`a/b` has no `revision`: name a commit, or `main`$"):
        fetch.Source("a/b")


def test_texts_are_every_string_of_the_rows(tmp_path):
    path = tmp_path / "texts.jsonl"
    path.write_text('{"a": ["x", {"b": "y"}], "n": 1}\n{"c": "z"}\n')
    assert list(fetch.strings(path)) == ["x", "y", "z"]
    path.write_text("{")
    with pytest.raises(Mistake) as caught:
        list(fetch.strings(path))
    reason = "is not JSON (Expecting property name enclosed in double quotes at character 2)"
    assert caught.value.error == f"`{path}`: line 1: {reason}"
    assert caught.value.hint == "correct this row, or leave it out"
