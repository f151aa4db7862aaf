"""A judge's service on this machine, tiny models that were never taught, and settings to change one by one."""

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from recipes.common.stage.command import StageError
from recipes.profile_dpo.judge.types import JudgeSettings, Question

SAMPLE = Path(__file__).parents[3] / "recipes/profile_dpo/sample"
NEEDS = ("generate", "authors", "tournament", "training")
NEEDS_TRAINERS = [*(f"test_{name}.py" for name in NEEDS), "judge/test_batch.py", "judge/test_endpoint.py"]
collect_ignore = [] if find_spec("torch") else NEEDS_TRAINERS

JUDGE: dict[str, Any] = {
    "judge": "endpoint",
    "engine": "transformers",
    "device": "cpu",
    "dtype": "float32",
    "gpu_share": 0.9,
    "judge_nf4": False,
    "judge_prompt_tokens": 1600,
    "judge_tokens": 48,
    "judged_at_once": 8,
    "orders": 2,
    "attempts": 3,
    "unanswered": 0.2,
    "endpoint_url": "http://127.0.0.1:9/v1",
    "endpoint_model": "any",
    "endpoint_parallel": 3,
    "endpoint_timeout": 5.0,
    "endpoint_retries": 2,
    "endpoint_pause": 0.01,
    "batched_rounds": 0,
    "batch_poll": 0.01,
    "price_in": 5.0,
    "price_out": 15.0,
    "max_dollars": None,
    "max_tokens": None,
    "api_key": None,
    "seed": 1,
}


@dataclass
class Service:
    """An HTTP server whose answers a test gives: `answer(path, body)` is (status, body) or (status, body, headers)."""

    url: str = ""
    asked: list[tuple[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    answer: Callable[[str, Any], tuple] = lambda path, body: (404, {})
    lock: Any = field(default_factory=threading.Lock)


@pytest.fixture
def service() -> Iterator[Service]:
    made = Service()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.reply(None)

        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers.get("content-length", 0)))
            self.reply(json.loads(raw) if self.headers["content-type"] == "application/json" else raw)

        def reply(self, body: Any) -> None:
            with made.lock:
                made.asked.append((self.path, body))
                made.headers.append({name.lower(): value for name, value in self.headers.items()})
                status, found, *headers = made.answer(self.path, body)
            text = found if isinstance(found, bytes) else json.dumps(found).encode()
            try:
                self.send_response(status)
                for name, value in (headers[0] if headers else {}).items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(text)))
                self.send_header("content-type", "application/json")
                self.end_headers()
                self.wfile.write(text)
            except OSError:  # the client has gone
                pass

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield made
    server.shutdown()
    thread.join()
    server.server_close()


def completion(preferred: object = 1, text: str | None = None, usage: bool = True) -> dict[str, Any]:
    """What an endpoint answers."""
    said = json.dumps({"reasoning": "so", "preferred_profile": preferred}) if text is None else text
    counted = {"usage": {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}} if usage else {}
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": said}}
    return {"id": "1", "object": "chat.completion", "created": 1, "model": "any", "choices": [choice], **counted}


@pytest.fixture
def judge_settings(service) -> Callable[..., JudgeSettings]:
    """`judge_settings(orders=1)`: of the endpoint `service`, with that changed."""
    return lambda **changes: JudgeSettings(**{**JUDGE, "endpoint_url": f"{service.url}/v1", **changes})


@pytest.fixture
def questions() -> list[Question]:
    chat = [{"role": "user", "content": "which one?"}]
    return [Question(f"u/{number}>0", chat, ("about the sea",), ("one", "other")) for number in range(1, 7)]


@pytest.fixture
def refusal() -> Callable[..., str]:
    """`refusal(function, *arguments)` is what the user reads when it refuses."""

    def refusal(function: Callable, *args: object, **named: object) -> str:
        with pytest.raises(StageError) as caught:
            function(*args, **named)
        return f"error: {caught.value.error}\n\nhint: {caught.value.hint}"

    return refusal
