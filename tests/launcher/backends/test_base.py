"""Every backend has the whole protocol, and nobody asks a backend for more."""

import ast
import inspect
from pathlib import Path

import pytest

from launcher.backends.base import Backend, Work
from launcher.backends.docker import Docker, DockerWork
from launcher.backends.local import Local, LocalWork
from launcher.backends.sky.backend import Sky
from launcher.backends.sky.job import SkyJob
from launcher.backends.slurm.allocation import Allocation
from launcher.backends.slurm.sbatch import SbatchRun, Slurm

LAUNCHER = Path(inspect.getfile(Backend)).parent.parent
BACKENDS = (Local, Docker, Sky, Slurm, Allocation)
WORKS = (LocalWork, DockerWork, SkyJob, SbatchRun)


def methods(kind):
    """Public method -> the names of its parameters."""
    members = inspect.getmembers(kind, inspect.isfunction)
    return {name: [*inspect.signature(member).parameters] for name, member in members if not name.startswith("_")}


@pytest.mark.parametrize("kind", BACKENDS, ids=lambda kind: kind.__name__)
def test_a_backend_has_the_methods_of_the_protocol_and_no_others(kind):
    assert methods(kind) == methods(Backend)


@pytest.mark.parametrize("kind", WORKS, ids=lambda kind: kind.__name__)
def test_what_a_backend_starts_has_the_methods_of_its_protocol(kind):
    assert methods(Work).items() <= methods(kind).items()


def test_every_backend_is_among_these():
    classes = {
        node.name
        for path in (LAUNCHER / "backends").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef) and {"start", "find"} <= {member.name for member in functions(node)}
    }
    assert classes == {kind.__name__ for kind in (Backend, *BACKENDS)}


def functions(node):
    return [member for member in node.body if isinstance(member, ast.FunctionDef)]


@pytest.mark.parametrize("package", ["backends", "commands", "report", "ui"])
def test_nobody_asks_whether_a_backend_has_a_method(package):
    for path in (LAUNCHER / package).rglob("*.py"):
        names = {node.id for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Name)}
        assert not names & {"getattr", "hasattr"}, path
