"""Models of two layers: a generator that has learnt the shipped chats, a base, a judge. Nobody changes them."""

import json
import warnings
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
CHATS = ROOT / "recipes/synthetic_instruct/sample/chats.jsonl"
NEEDS = ("export", "chat", "quality_duplicates", "evaluate", "filter", "generate", "hub", "models", "prefer", "magpie")
NEEDS_TORCH = [f"test_{name}.py" for name in (*NEEDS, "respond", "reward_model", "training")]
collect_ignore = [] if find_spec("torch") else [*NEEDS_TORCH, "preflight/test_template.py"]
LESSONS = 120


@pytest.fixture(scope="session")
def chats() -> list[tuple[str, str]]:
    rows = map(json.loads, CHATS.read_text().splitlines())
    return [(row["instruction"], row["response"]) for row in rows]


@pytest.fixture(scope="session")
def generator(chats, tmp_path_factory) -> Path:
    from recipes.synthetic_instruct import tiny

    folder = tmp_path_factory.mktemp("generator")
    tiny.save_speaker(folder, chats, LESSONS)
    return folder


@pytest.fixture(scope="session")
def base(chats, tmp_path_factory) -> Path:
    from recipes.synthetic_instruct import tiny

    folder = tmp_path_factory.mktemp("base")
    tiny.save_speaker(folder, chats, 0)
    return folder


@pytest.fixture(scope="session")
def judge(chats, tmp_path_factory) -> Path:
    from recipes.synthetic_instruct import tiny

    folder = tmp_path_factory.mktemp("judge")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tiny.save_judge(folder, chats)
    return folder


@pytest.fixture
def write(tmp_path) -> Callable[..., Path]:
    """`write(name, rows)` is a file of rows in a folder of its own below tmp_path."""

    def write(name: str, rows: list[dict]) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return path

    return write


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """Two on models of this size only wait for each other."""
    if find_spec("torch"):
        import torch

        torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def quiet():
    """What the libraries warn of in each other is not ours."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"(torch|transformers|trl|peft|datasets|lm_eval)\b")
        yield
