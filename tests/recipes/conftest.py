"""verl in this process, as on a CPU: for tests that read its configuration or call its functions."""

import importlib
import importlib.util
import os
import warnings

import pytest

from tests.chance import SEED, some


@pytest.fixture(scope="session")
def verl():
    """verl is imported with the CPU platform; skips where it is not installed."""
    if importlib.util.find_spec("verl") is None:
        pytest.skip("needs the training environment")
    os.environ["VERL_PLATFORM"] = "cpu"
    os.environ["VERL_USE_EXTERNAL_MODULES"] = "recipes.common.verl.compat,recipes.common.verl.platform"
    with warnings.catch_warnings():
        # verl warns of every engine that is not installed, ray of a module that it renamed.
        warnings.simplefilter("ignore")
        importlib.import_module("recipes.gad.trainer")


TRAININGS = 2
"""How many families' real trainings a run of all tests takes; each family's rehearsal trains too."""
CHOSEN = pytest.StashKey[str]()


def pytest_collection_modifyitems(config, items):
    """The long trainings are some by chance, unless all are asked for (`make faults`) or few are named."""
    modules = sorted({item.path for item in items if item.path.name == "test_training.py"})
    chosen = some(modules, TRAININGS)
    if modules:
        names = ", ".join(path.parent.name for path in chosen)
        config.stash[CHOSEN] = f"trainings of {names}; {len(chosen)} of {len(modules)}, FAULT_SEED={SEED}"
        items[:] = [item for item in items if item.path not in modules or item.path in chosen]


def pytest_terminal_summary(terminalreporter, config):
    if said := config.stash.get(CHOSEN, None):
        terminalreporter.write_line(said)
