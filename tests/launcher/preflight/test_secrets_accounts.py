import base64
import contextlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from launcher.preflight.access import Answer, ask


@pytest.fixture(scope="module")
def service():
    """A hub and a W&B that know the key `good`; others are named by what happens to them."""
    done = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def reply(self, key, good):
            if key == "slow":
                done.wait(5)
            code, text = {"good": (200, good), "nobody": (200, {"data": {"viewer": None}})}.get(key, (401, {}))
            code = 200 if key == "text" else code
            with contextlib.suppress(OSError):  # who was too slow is no longer listened to
                self.send_response(503 if key == "broken" else code)
                self.end_headers()
                self.wfile.write(b"no JSON" if key == "text" else json.dumps(text).encode())

        def do_GET(self):
            assert self.path == "/api/whoami-v2"
            self.reply(self.headers["Authorization"].removeprefix("Bearer "), {"name": "me"})

        def do_POST(self):
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            assert self.path == "/graphql" and "viewer" in asked["query"]
            user, _, key = (
                base64.b64decode(self.headers["Authorization"].removeprefix("Basic ")).decode().partition(":")
            )
            assert user == "api"
            self.reply(key, {"data": {"viewer": {"username": "me"}}})

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"127.0.0.1:{server.server_port}"
    done.set()
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize("name", ["HF_TOKEN", "WANDB_API_KEY"])
@pytest.mark.parametrize(
    ("key", "valid"), [("good", True), ("bad", False), ("broken", None), ("slow", None), ("text", None)]
)
def test_a_service_knows_a_key_or_does_not_or_says_nothing(service, name, key, valid):
    env = {"HF_ENDPOINT": f"http://{service}/", "WANDB_BASE_URL": f"http://{service}"}
    assert ask(name, key, env, 0.3 if key == "slow" else 4) == Answer(service, valid)


def test_a_service_that_knows_nobody_by_the_key_does_not_know_it(service):
    assert ask("WANDB_API_KEY", "nobody", {"WANDB_BASE_URL": f"http://{service}"}) == Answer(service, False)


def test_no_service_is_no_answer():
    assert ask("HF_TOKEN", "good", {"HF_ENDPOINT": "http://127.0.0.1:1"}) == Answer("127.0.0.1:1", None)


def test_of_other_secrets_nobody_is_asked():
    assert ask("OTHER", "x", {}) is None
