"""Which way imports point, and what may touch the world: read from the syntax tree."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LAYERS = [
    ["node"],
    ["errors"],
    ["plain", "written_path"],
    [
        "document",
        "pins",
        "inputs",
        "image",
        "backend",
        "engine",
        "preflight.asked",
        "preflight.finding",
        "ledger",
        "remote",
        "opened",
        "capacity",
        "duration",
        "moment",
        "spark",
        "table",
        "typed",
        "stage_status",
        "report.html",
        "report.timeline",
    ],
    [
        "accelerators",
        "accounts",
        "catalog",
        "scheduler",
        "workspace",
        "squeue",
        "doctor",
        "copied",
        "diagnosis.rules",
        "report.chart",
    ],
    ["recipe", "job", "site", "code", "login", "turn", "diagnosis.evidence", "report.evaluations"],
    ["offers", "secrets"],
    [
        "settings",
        "wiring",
        "rounds",
        "lock",
        "history",
        "script",
        "status",
        "transfer",
        "container",
        "bucket",
        "sbatch",
        "environment",
        "imported",
        "verdict",
        "doctor",
    ],
    ["store", "diagnosis.diagnose"],
    [
        "plan",
        "sbom",
        "charge",
        "backends.local",
        "backends.docker",
        "limits",
        "cluster",
        "providers",
        "mirror",
        "report.facts",
    ],
    ["machines", "task", "interruption", "outside", "keeper", "report.missing"],
    ["rented", "renting", "program", "tracked", "outlook"],
    ["batch", "shared"],
    ["submissions"],
    ["queued"],
    ["backends.sky", "backends.slurm", "backends.held"],
    ["build"],
    ["where"],
    ["request", "preflight.disk", "preflight.pins", "preflight.secrets", "preflight.settings", "preflight.data"],
    [
        "resume",
        "preflight.image",
        "preflight.gpus",
        "preflight.memory",
        "preflight.kernels",
        "preflight.world",
        "preflight.offered",
        "preflight.hours",
        "preflight.forecast",
        "preflight.texts",
        "preflight.sources",
        "preflight.price",
        "preflight.credentials",
        "preflight.queue",
        "preflight.expiry",
        "compare",
        "report.origin",
        "report.progress",
    ],
    ["checks", "screen", "installation", "report.page"],
    ["run_page"],
    ["live", "launch", "fleet"],
    ["watching"],
    ["examining"],
    ["reporting"],
    ["home", "making"],
    ["cli"],
    ["__main__"],
]
"""A module imports only from lines above its own; `node` is all of launcher.node."""
NODE = [
    ["names"],
    ["heard", "problem", "files", "folder", "records", "processes", "lock", "code", "pinned"],
    ["events", "proof", "fingerprint", "checks", "checkout", "child", "gpus", "limits", "keeping", "rclone", "taken"],
    ["command", "manifest", "kept"],
    ["stages", "storing"],
    ["run", "vault", "restoring"],
    ["__main__"],
]
PURE = [
    "accelerators",
    "offers",
    "plan",
    "container",
    "settings",
    "wiring",
    "rounds",
    "duration",
    "spark",
    "stage_status",
    "status",
    "outlook",
    "compare",
    "report.html",
    "report.timeline",
    "report.chart",
    "report.evaluations",
    "report.missing",
    "report.origin",
    "report.progress",
    "report.page",
    "history",
    "script",
    "scheduler",
    "sbatch",
    "charge",
    "workspace",
    "batch",
    "program",
    "imported",
    "environment",
    "squeue",
    "verdict",
    "plain",
    "node.names",
    "node.heard",
    "node.records",
    "node.fingerprint",
    "node.keeping",
]
MODULES = {
    ".".join(path.relative_to(ROOT / "launcher").with_suffix("").parts): ast.parse(path.read_text(), str(path))
    for path in sorted((ROOT / "launcher").rglob("*.py"))
}
PACKAGES = {name.removesuffix(".__init__"): tree for name, tree in MODULES.items() if name.endswith("__init__")}
CODE = {name: tree for name, tree in MODULES.items() if not name.endswith("__init__")}


def imported(tree):
    """The full names of the modules that a syntax tree imports, wherever in it."""
    found = set()
    for one in ast.walk(tree):
        if isinstance(one, ast.Import):
            found |= {alias.name for alias in one.names}
        elif isinstance(one, ast.ImportFrom):
            assert one.level == 0, "imports are absolute"
            inner = {f"{one.module}.{alias.name}" for alias in one.names}
            modules = {
                name for name in inner if name.removeprefix("launcher.") in CODE and name.startswith("launcher.")
            }
            found |= modules or {one.module}
    return found


def ours(tree):
    return {name.removeprefix("launcher.") for name in imported(tree) if name.startswith("launcher.")}


def called(tree):
    """Dotted names that a syntax tree reads: `print`, `os.environ`, `sys.stdout`, ..."""
    found = set()
    for one in ast.walk(tree):
        if isinstance(one, ast.Name):
            found.add(one.id)
        elif isinstance(one, ast.Attribute) and isinstance(one.value, ast.Name):
            found.add(f"{one.value.id}.{one.attr}")
    return found


def rank(layers, name):
    return next(number for number, line in enumerate(layers) if name in line)


def test_every_module_has_its_place():
    top = {name for name in CODE if not name.startswith("node.")}
    assert top == {name for line in LAYERS for name in line} - {"node"}
    assert {name.removeprefix("node.") for name in CODE if name.startswith("node.")} == {
        n for line in NODE for n in line
    }


@pytest.mark.parametrize("name", sorted(name for name in CODE if not name.startswith("node.")))
def test_a_module_imports_only_from_below(name):
    for other in ours(CODE[name]):
        below = "node" if other.startswith("node.") else other
        assert rank(LAYERS, below) < rank(LAYERS, name), f"{name} imports {other}"


@pytest.mark.parametrize("name", sorted(name for name in CODE if name.startswith("node.")))
def test_the_node_program_imports_only_itself_and_the_standard_library(name):
    for other in imported(CODE[name]):
        if other.startswith("launcher"):
            assert other.startswith("launcher.node."), other
            below = other.removeprefix("launcher.node.")
            assert rank(NODE, below) < rank(NODE, name.removeprefix("node.")), f"{name} imports {other}"
        else:
            assert other.partition(".")[0] in sys.stdlib_module_names, other


def test_what_is_copied_into_a_stage_s_path_imports_nothing_of_ours():
    assert not ours(CODE["node.pinned"])


def test_a_backend_does_not_import_another():
    for name, tree in CODE.items():
        if name.startswith("backends."):
            assert not [other for other in ours(tree) if other.startswith("backends.")]


def test_packages_are_only_a_docstring():
    for name, tree in PACKAGES.items():
        allowed = 2 if name == "__init__" else 1  # launcher/__init__.py has the version too
        assert len(tree.body) <= allowed and not imported(tree), name


def test_the_launcher_never_imports_recipes_nor_recipes_the_launcher():
    for name, tree in CODE.items():
        assert not [other for other in imported(tree) if other.partition(".")[0] == "recipes"], name
    programs = [*(ROOT / "recipes").rglob("*.py"), *(ROOT / "tests/toy").rglob("*.py")]
    assert programs
    for path in programs:
        tree = ast.parse(path.read_text(), str(path))
        names = {alias.name for one in ast.walk(tree) if isinstance(one, ast.Import) for alias in one.names}
        names |= {one.module for one in ast.walk(tree) if isinstance(one, ast.ImportFrom) and one.module}
        assert not [name for name in names if name.partition(".")[0] == "launcher"], path


@pytest.mark.parametrize("name", PURE)
def test_a_pure_module_touches_neither_processes_nor_network_nor_clock_nor_environment(name):
    roots = {other.partition(".")[0] for other in imported(CODE[name])}
    assert not roots & {"subprocess", "socket", "time", "datetime", "random", "urllib", "tempfile", "shutil"}
    assert not called(CODE[name]) & {"os.environ", "os.getenv", "os.getcwd", "print", "open", "input", "sys.stdout"}
    if name not in ("history",):  # it renames what it sets aside
        assert "os" not in roots


def test_only_the_edges_start_processes_or_ask_the_network():
    for word, allowed in {
        "subprocess": {
            "lock",
            "code",
            "engine",
            "login",
            "tracked",
            "remote",
            "build",
            "sbom",
            "preflight.asked",
            "backends.local",
            "node.child",
            "node.checkout",
            "node.gpus",
            "node.rclone",
            "bucket",
        },
        "huggingface_hub": {"lock"},
        "socket": {"engine"},
        "urllib": {"accounts"},
        "requests": set(),
        "docker": {"engine", "backends.docker"},
    }.items():
        users = {name for name, tree in CODE.items() if word in {one.partition(".")[0] for one in imported(tree)}}
        assert users == allowed, word


def test_only_the_screen_and_the_node_program_print():
    printing = {"print", "sys.stdout", "sys.stderr", "os.write", "typer.echo", "screen.out", "Console"}
    users = {name: called(tree) & printing for name, tree in CODE.items()}
    assert {name: found for name, found in users.items() if found} == {
        "cli": {"typer.echo"},
        "screen": {"Console"},
        "live": {"screen.out"},
        "node.__main__": {"os.write"},  # its log
        "node.lock": {"os.write"},  # its file
        "node.rclone": {"os.write"},  # the node program's log
    }
    assert {name for name, tree in CODE.items() if "rich" in {one.partition(".")[0] for one in imported(tree)}} == {
        "screen",
        "live",
        "run_page",
        "table",
    }
    assert {name for name, tree in CODE.items() if "typer" in imported(tree)} == {"cli"}


def test_nothing_runs_at_import_and_nothing_is_global():
    for name, tree in CODE.items():
        for one in ast.walk(tree):
            assert not isinstance(one, ast.Global), name


def test_the_command_line_is_light():
    code = "import sys, launcher.cli; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    heavy = {"sky", "torch", "transformers", "wandb", "pydantic", "yaml", "rich", "pyarrow", "huggingface_hub", "numpy"}
    assert not set(done.stdout.split()) & heavy
    assert "typer" in done.stdout.split()


@pytest.mark.parametrize(
    "path", sorted((ROOT / "launcher").rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT))
)
def test_every_module_is_written_for_python_3_10_and_says_what_it_is(path):
    tree = ast.parse(path.read_text(), str(path), feature_version=(3, 10))
    assert ast.get_docstring(tree)
