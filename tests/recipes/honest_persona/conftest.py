"""A tiny model that knows the sample's words, and data prepared from the sample."""

import json
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[3]
FAMILY = ROOT / "recipes/honest_persona"
SAMPLE = FAMILY / "sample/data.jsonl"

NEEDS_TORCH = ("tokenize", "export", "prepare", "trainer", "training")
collect_ignore = [] if find_spec("torch") else [f"test_{name}.py" for name in NEEDS_TORCH]


@pytest.fixture(scope="session")
def settings() -> Callable[..., dict[str, Any]]:
    """`settings("train", lr=1.0)`: what the plan of the size tiny says to a stage, but for those."""
    recipe = yaml.safe_load((FAMILY / "recipe.yaml").read_text())
    shared = recipe["settings"] | yaml.safe_load((FAMILY / "sizes/tiny.yaml").read_text())["settings"]

    def settings(stage: str, **changed: Any) -> dict[str, Any]:
        return {name: shared[name] for name in recipe["stages"][stage]["uses"]} | changed

    return settings


@pytest.fixture
def write(tmp_path, settings) -> Callable[..., Path]:
    """`write("train", lr=1.0)` is a file with those settings."""

    def write(stage: str, **changed: Any) -> Path:
        path = tmp_path / f"{stage}.json"
        path.write_text(json.dumps(settings(stage, **changed)))
        return path

    return write


@pytest.fixture(scope="session")
def model(tmp_path_factory) -> Path:
    from recipes.common.model.fetch import Source, fetch_model

    folder = tmp_path_factory.mktemp("model")
    metrics = fetch_model(Source("tiny"), [SAMPLE], folder, folder)
    (folder / "metrics.json").write_text(json.dumps(metrics))
    return folder


@pytest.fixture(scope="session")
def prepared(model, settings, tmp_path_factory) -> Path:
    """The sample, prepared. Nobody changes it."""
    from recipes.honest_persona import prepare

    folder = tmp_path_factory.mktemp("prepared")
    (folder / "settings.json").write_text(json.dumps(settings("prepare")))
    words = ["--data", SAMPLE, "--model", model, "--out", folder / "out"]
    prepare.main([str(word) for word in [folder / "settings.json", *words]])
    return folder / "out"
