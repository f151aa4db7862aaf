"""A file of a data set on the hub, which is a server on this machine."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.hub import COMMIT, environment, serve

ROOT = Path(__file__).parents[4]
BODY = b'{"question": "Why?"}\n'

PROGRAM = """
import sys
from pathlib import Path
from recipes.common.data.hub import dataset_file
from recipes.common.stage.command import run
run(lambda: print(dataset_file(*sys.argv[1:4], Path(sys.argv[4]))))
"""


@pytest.fixture
def server():
    with serve({"datasets/owner/data": {"data/train.jsonl": BODY}}) as server:
        yield server


@pytest.fixture
def fetch(server, tmp_path):
    """`fetch(repo, revision)` is the end of a process that asks for `data/train.jsonl`."""

    def fetch(repo, revision):
        command = [sys.executable, "-c", PROGRAM, repo, revision, "data/train.jsonl", str(tmp_path / "cache")]
        return subprocess.run(
            command, cwd=ROOT, env=environment(server.url, tmp_path / "home"), capture_output=True, text=True
        )

    return fetch


def test_a_file_comes_at_its_commit_and_once(fetch, server):
    done = fetch("owner/data", COMMIT)
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()).read_bytes() == BODY
    assert ("GET", f"/datasets/owner/data/resolve/{COMMIT}/data/train.jsonl", None) in server.requests
    server.requests.clear()
    assert fetch("owner/data", COMMIT).returncode == 0
    assert not [path for command, path, _ in server.requests if command == "GET" and "/resolve/" in path]


@pytest.mark.parametrize(
    ("repo", "revision", "says"),
    [
        ("owner/other", COMMIT, "error: the hub has no repository `datasets/owner/other`"),
        ("owner/data", "b" * 40, f"error: `datasets/owner/data` has no revision `{'b' * 40}`"),
    ],
)
def test_what_the_hub_does_not_have_is_a_sentence(fetch, repo, revision, says):
    done = fetch(repo, revision)
    assert done.returncode == 2 and says in done.stderr
