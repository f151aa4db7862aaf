"""verl in this process, as on a CPU: for tests that read its configuration or call its functions."""

import importlib
import importlib.util
import os
import warnings
from collections.abc import Callable

import pytest

from recipes.common.stage.command import StageError


@pytest.fixture(scope="session")
def verl():
    """verl is imported with the CPU platform; skips where it is not installed."""
    if importlib.util.find_spec("verl") is None:
        pytest.skip("needs the training environment")
    os.environ["VERL_PLATFORM"] = "cpu"
    os.environ["VERL_USE_EXTERNAL_MODULES"] = "recipes.common.verl.compat,recipes.common.verl.cpu_platform"
    with warnings.catch_warnings():
        # verl warns of every engine that is not installed, ray of a module that it renamed.
        warnings.simplefilter("ignore")
        importlib.import_module("recipes.gad.trainer")


@pytest.fixture
def refusal() -> Callable[..., str]:
    """`refusal(function, *arguments)` is what the user reads when it refuses."""

    def refusal(function: Callable, *args: object) -> str:
        with pytest.raises(StageError) as caught:
            function(*args)
        return f"error: {caught.value.error}\n\nhint: {caught.value.hint}"

    return refusal
