"""A file of a data set on the hub, which is a server on this machine."""

import hashlib
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[4]
COMMIT = "0123456789abcdef0123456789abcdef01234567"
BODY = b'{"question": "Why?"}\n'

PROGRAM = """
import sys
from pathlib import Path
from recipes.common.data.hub import dataset_file
from recipes.common.stage.command import run
run(lambda: print(dataset_file(*sys.argv[1:4], Path(sys.argv[4]))))
"""


class Hub(BaseHTTPRequestHandler):
    """What huggingface_hub asks for one file of the data set `owner/data`."""

    protocol_version = "HTTP/1.1"

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        self.server.asked.append((self.command, self.path))
        known = self.path.startswith("/datasets/owner/data/resolve/")
        if not known:
            return self.send(b"", 401, "RepoNotFound")
        if f"/{COMMIT}/" not in self.path:
            return self.send(b"", 404, "RevisionNotFound")
        return self.send(BODY, 200)

    def send(self, body, status, code=None):
        self.send_response(status)
        digest = hashlib.sha1(body).hexdigest()
        headers = {"Content-Length": str(len(body)), "ETag": f'"{digest}"', "X-Repo-Commit": COMMIT}
        for name, value in (headers | ({"X-Error-Code": code} if code else {})).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        server.asked = []
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def fetch(server, tmp_path):
    """`fetch(repo, revision)` is the end of a process that asks for `data/train.jsonl`."""

    def fetch(repo, revision):
        address = f"http://127.0.0.1:{server.server_port}"
        env = {**os.environ, "HF_ENDPOINT": address, "HF_HUB_OFFLINE": "0", "HF_HOME": str(tmp_path / "home")}
        env.pop("HF_TOKEN", None)
        words = [sys.executable, "-c", PROGRAM, repo, revision, "data/train.jsonl", str(tmp_path / "cache")]
        return subprocess.run(words, cwd=ROOT, env=env, capture_output=True, text=True)

    return fetch


def test_a_file_comes_at_its_commit_and_once(fetch, server):
    done = fetch("owner/data", COMMIT)
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()).read_bytes() == BODY
    assert ("GET", f"/datasets/owner/data/resolve/{COMMIT}/data/train.jsonl") in server.asked
    server.asked.clear()
    assert fetch("owner/data", COMMIT).returncode == 0
    assert not [path for command, path in server.asked if command == "GET" and "/resolve/" in path]


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
