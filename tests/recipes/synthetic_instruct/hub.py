"""What huggingface_hub asks for when a repository is made, filled and read; on this machine."""

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub(BaseHTTPRequestHandler):
    """Repositories `owner/open` and `owner/gated`; uploads to `owner/mine`."""

    protocol_version = "HTTP/1.1"

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        self._note()
        if "/owner/gated/" in self.path:
            self._send({}, 403, {"X-Error-Code": "GatedRepo"})
        elif self.path.startswith("/api/models/owner/open/tree/"):
            self._send([{"type": "file", "path": "config.json", "size": 8, "oid": "abc"}])
        elif "/owner/open/resolve" in self.path:
            self._send({"a": 1}, headers={"ETag": '"abc"', "X-Repo-Commit": COMMIT})
        else:
            self._send({}, 404, {"X-Error-Code": "RepoNotFound"})

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode(errors="replace")
        self._note(body)
        if self.path == "/api/repos/create":
            self._send({"url": f"{self.server.url}/owner/mine", "id": "owner/mine"})
        elif self.path == "/api/validate-yaml":
            self._send({"errors": [], "warnings": []})
        elif self.path.endswith("/preupload/main"):
            files = json.loads(body)["files"]
            self._send(
                {"files": [{"path": one["path"], "uploadMode": "regular", "shouldIgnore": False} for one in files]}
            )
        elif "/commit/main" in self.path:
            self._send({"commitUrl": f"{self.server.url}/owner/mine/commit/{COMMIT}", "commitOid": COMMIT})
        else:
            self._send({}, 404)

    def _note(self, body=""):
        self.server.asked.append((self.command, self.path, body))
        self.server.tokens.add(self.headers.get("Authorization"))

    def _send(self, value, status=200, headers=None):
        body = json.dumps(value).encode()
        self.send_response(status)
        given = {"Content-Type": "application/json", "Content-Length": str(len(body))}
        for name, text in (given | (headers or {})).items():
            self.send_header(name, text)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_):
        pass


def server():
    made = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    made.asked, made.tokens = [], set()
    made.url = f"http://127.0.0.1:{made.server_port}"
    return made
