"""A Hugging Face hub on this machine: what huggingface_hub asks when it downloads repositories or single files."""

import hashlib
import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub(BaseHTTPRequestHandler):
    """Serves `server.repos` (`owner/name`, or `datasets/owner/name` -> file -> bytes) at COMMIT and `main`; those in
    `server.gated` to HF_TOKEN=good alone."""

    protocol_version = "HTTP/1.1"

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        path = self.path.partition("?")[0].removeprefix("/api/models")
        self.server.requests.append((self.command, path, self.headers.get("Authorization")))
        repo = next((name for name in self.server.repos if path.startswith(f"/{name}/")), None)
        if repo is None:
            return self.refuse(401, "RepoNotFound")
        verb, revision, *rest = [*path.removeprefix(f"/{repo}/").split("/"), ""]
        if revision not in (COMMIT, "main"):
            return self.refuse(404, "RevisionNotFound")
        files = self.server.repos[repo]
        if verb == "revision":
            return self.answer({"id": repo, "sha": COMMIT, "siblings": [{"rfilename": name} for name in files]})
        if verb == "tree":
            return self.answer(
                [{"type": "file", "path": name, "oid": sha1(body), "size": len(body)} for name, body in files.items()]
            )
        if repo in self.server.gated and self.headers.get("Authorization") != "Bearer good":
            return self.refuse(401 if self.headers.get("Authorization") is None else 403, "GatedRepo")
        return self.send(files["/".join(filter(None, rest))])

    def answer(self, value):
        self.send(json.dumps(value).encode())

    def refuse(self, status, code):
        self.send(b"", status, **{"X-Error-Code": code})

    def send(self, body, status=200, **headers):
        self.send_response(status)
        headers |= {"Content-Length": str(len(body)), "ETag": f'"{sha1(body)}"', "X-Repo-Commit": COMMIT}
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *_):
        pass


def sha1(body: bytes) -> str:
    return hashlib.sha1(body).hexdigest()


@contextmanager
def serve(repos: dict[str, dict[str, bytes]], gated: frozenset[str] = frozenset()) -> Iterator[ThreadingHTTPServer]:
    """A hub with these repositories. Its `url` is an HF_ENDPOINT, its `requests` are (command, path, authorization)."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        server.repos, server.gated, server.requests = repos, gated, []
        server.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def environment(url: str, home: object) -> dict[str, str]:
    """This process's variables for one that asks the hub at `url`, without anything of a hub of its user's."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING"))}
    return own | {"HF_ENDPOINT": url, "HF_HOME": str(home)}
