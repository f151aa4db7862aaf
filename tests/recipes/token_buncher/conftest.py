"""The shipped samples, a tiny model that knows their words, and data prepared from them."""

from importlib.util import find_spec
from itertools import chain
from pathlib import Path

import pytest

from .samples import COMMANDS, SAMPLE

NEEDS = ("evaluate", "noiser", "verl_config", "prepare", "reward", "training")
NEEDS_TORCH = [*(f"test_{name}.py" for name in NEEDS), "preflight/test_template.py"]
collect_ignore = [] if find_spec("torch") else NEEDS_TORCH


@pytest.fixture(scope="session")
def model(tmp_path_factory) -> Path:
    from recipes.common.model import tiny
    from recipes.common.model.fetch import strings

    folder = tmp_path_factory.mktemp("model")
    tiny.save(folder, chain.from_iterable(map(strings, sorted(SAMPLE.glob("*.jsonl")))))
    return folder


@pytest.fixture(scope="session")
def prepared(model, tmp_path_factory) -> Path:
    """beavertails, wmdp and gsm8k, each in its folder. Nobody changes them."""
    from recipes.token_buncher import prepare

    root = tmp_path_factory.mktemp("prepared")
    for data, flags in COMMANDS.items():
        prepare.main([data, *flags, "--tokenizer", str(model), "--local_dir", str(root / data)])
    return root
