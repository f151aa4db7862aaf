"""Which way imports point, and what may touch the world: read from the syntax tree."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = (
    "commands",
    "ui",
    "report",
    "diagnosis",
    "preflight",
    "backends",
    "planning",
    "transfer",
    "clouds",
    "images",
    "config",
    "node",
    "runfolder",
)
"""A package imports only packages that come after it."""
STANDARD = ("node", "runfolder")
"""What runs inside images and on machines, which have no other packages."""
TOP = 8
"""Files beside the packages."""
MODULES_OF_A_PACKAGE, LINES_OF_A_MODULE = 17, 300
ONE_READER = 15
"""Modules that exactly one other module imports."""
PURE = [
    "launcher.clouds.accelerators",
    "launcher.clouds.offers",
    "launcher.planning.plan",
    "launcher.planning.settings",
    "launcher.format",
    "launcher.runfolder.status",
    "launcher.report.status_lines",
    "launcher.report.facts",
    "launcher.report.charts",
    "launcher.report.evaluations",
    "launcher.report.page",
    "launcher.planning.changes",
    "launcher.config.slurm",
    "launcher.backends.slurm.groups",
    "launcher.backends.slurm.workspace",
    "launcher.backends.slurm.batch_script",
    "launcher.backends.slurm.node_start",
    "launcher.backends.slurm.image_file",
    "launcher.backends.slurm.software",
    "launcher.backends.slurm.queue",
    "launcher.config.yaml",
    "launcher.runfolder.validation",
    "launcher.runfolder.plan",
    "launcher.runfolder.done",
    "launcher.runfolder.retention",
]


def modules(top):
    """The dotted name of every module below a folder -> its syntax tree."""
    return {
        ".".join(path.relative_to(ROOT).with_suffix("").parts): ast.parse(path.read_text(), str(path))
        for path in sorted((ROOT / top).rglob("*.py"))
    }


MODULES = modules("launcher")
RECIPES = modules("recipes")
INITS = {name.removesuffix(".__init__"): tree for name, tree in MODULES.items() if name.endswith("__init__")}
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
            found |= {name for name in inner if name in MODULES or name in RECIPES} or {one.module}
    return found


def ours(tree):
    return {name for name in imported(tree) if name in CODE}


def package(name):
    """`node` of `launcher.node.stage`; None of a module that lies at the top."""
    parts = name.split(".")
    return parts[1] if len(parts) > 2 else None


def circles(code):
    """The modules of `code` that import each other, however far around."""
    needs = {name: {other for other in imported(tree) if other in code} for name, tree in code.items()}
    while leaves := {name for name, others in needs.items() if not others}:
        needs = {name: others - leaves for name, others in needs.items() if name not in leaves}
    return set(needs)


def called(tree):
    """Dotted names that a syntax tree reads: `print`, `os.environ`, `sys.stdout`, ..."""
    found = set()
    for one in ast.walk(tree):
        if isinstance(one, ast.Name):
            found.add(one.id)
        elif isinstance(one, ast.Attribute) and isinstance(one.value, ast.Name):
            found.add(f"{one.value.id}.{one.attr}")
    return found


def test_every_package_has_its_place():
    assert {package(name) for name in CODE} - {None} <= set(PACKAGES)


@pytest.mark.parametrize("name", sorted(name for name in CODE if package(name)))
def test_a_package_imports_only_packages_below_its_own(name):
    mine = PACKAGES.index(package(name))
    for other in ours(CODE[name]):
        if package(other):
            assert mine <= PACKAGES.index(package(other)), f"{name} imports {other}"


def test_what_lies_beside_the_packages_is_below_them_all_or_starts_them():
    beside = {name for name in CODE if not package(name)}
    starts = {name for name in beside if any(package(other) not in (None, *STANDARD) for other in ours(CODE[name]))}
    starts |= {name for name in beside if ours(CODE[name]) & starts}
    assert not [name for name in CODE if package(name) and ours(CODE[name]) & starts]


def test_a_stranger_finds_the_way():
    assert len([*(ROOT / "launcher").glob("*.py")]) <= TOP
    folders = {path.parent for path in (ROOT / "launcher").rglob("*.py")}
    sizes = {folder.name: len([*folder.glob("*.py")]) - 1 for folder in folders if folder.name != "launcher"}
    assert not {name: count for name, count in sizes.items() if count > MODULES_OF_A_PACKAGE}
    lines = {path.name: len(path.read_text().splitlines()) for path in (ROOT / "launcher").rglob("*.py")}
    assert not {name: count for name, count in lines.items() if count > LINES_OF_A_MODULE}


def test_no_package_of_common_recipe_code_and_no_module_of_recipes_is_large():
    for folder in {path.parent for path in (ROOT / "recipes/common").rglob("*.py")}:
        assert len([*folder.glob("*.py")]) - 1 <= MODULES_OF_A_PACKAGE, folder
    for path in (ROOT / "recipes").rglob("*.py"):
        assert len(path.read_text().splitlines()) <= LINES_OF_A_MODULE, path


def test_a_family_imports_no_other_family():
    for name, tree in RECIPES.items():
        family = name.split(".")[1]
        assert {other.split(".")[1] for other in imported(tree) if other in RECIPES} <= {family, "common"}, name


def test_few_modules_have_only_one_reader():
    reads = {name: ours(tree) for name, tree in CODE.items()}
    readers = {name: [other for other in CODE if name in reads[other]] for name in CODE}
    few = [name for name, others in readers.items() if len(others) == 1]
    assert len(few) <= ONE_READER, few


def test_no_modules_import_each_other():
    assert not circles(CODE)


def test_no_recipes_import_each_other():
    assert not circles(RECIPES)


@pytest.mark.parametrize("name", sorted(name for name in CODE if package(name) in STANDARD))
def test_the_node_program_imports_only_itself_and_the_standard_library(name):
    for other in imported(CODE[name]):
        if other.startswith("launcher"):
            assert package(other) in STANDARD, other
        else:
            assert other.partition(".")[0] in sys.stdlib_module_names, other


def test_what_is_copied_into_a_stage_s_path_imports_nothing_of_ours():
    assert not ours(CODE["launcher.node.pinned_imports"])


def test_a_backend_does_not_import_another():
    kinds = {"local", "docker", "sky", "slurm"}
    for name, tree in CODE.items():
        if package(name) == "backends" and (mine := name.split(".")[2]) in kinds:
            others = {other.split(".")[2] for other in ours(tree) if package(other) == "backends"} & kinds - {mine}
            if name == "launcher.backends.slurm.allocation":  # SkyPilot holds it
                others -= {"sky"}
            assert not others, name


def test_packages_are_only_a_docstring():
    for name, tree in INITS.items():
        allowed = 2 if name == "launcher" else 1  # launcher/__init__.py has the version too
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
    modules = {"subprocess", "socket", "time", "datetime", "random", "urllib", "tempfile", "shutil"}
    if name == "launcher.format":  # it writes times, and asks for none
        modules -= {"time"}
        assert not called(CODE[name]) & {"time.time", "time.monotonic", "time.localtime", "time.sleep"}
    assert not roots & modules
    touching = {"os.environ", "os.getenv", "os.getcwd", "print", "open", "input", "sys.stdout"}
    if name == "launcher.config.yaml":  # it reads the file
        touching -= {"open"}
    assert not called(CODE[name]) & touching
    if name != "launcher.planning.changes":  # it renames what it sets aside
        assert "os" not in roots


def test_only_the_edges_start_processes_or_ask_the_network():
    for word, allowed in {
        "subprocess": {
            "launcher.planning.lock",
            "launcher.planning.code_version",
            "launcher.images.docker_engine",
            "launcher.backends.slurm.login",
            "launcher.backends.slurm.run_folder",
            "launcher.transfer.ssh",
            "launcher.preflight.recipe",
            "launcher.backends.local",
            "launcher.node.process",
            "launcher.runfolder.rclone",
            "launcher.transfer.bucket",
        },
        "huggingface_hub": {"launcher.planning.lock"},
        "socket": {"launcher.images.docker_engine"},
        "urllib": {"launcher.preflight.access"},
        "requests": set(),
        "docker": {"launcher.images.docker_engine", "launcher.backends.docker"},
    }.items():
        users = {name for name, tree in CODE.items() if word in {one.partition(".")[0] for one in imported(tree)}}
        assert users == allowed, word


def test_only_the_screen_and_the_node_program_print():
    printing = {"print", "sys.stdout", "sys.stderr", "os.write", "typer.echo", "console.out", "Console"}
    users = {name: called(tree) & printing for name, tree in CODE.items()}
    assert {name: found for name, found in users.items() if found} == {
        "launcher.cli": {"typer.echo"},
        "launcher.ui.console": {"Console"},
        "launcher.ui.live": {"console.out"},
        "launcher.node.__main__": {"os.write"},  # its log
        "launcher.runfolder.lock": {"os.write"},  # its file
        "launcher.runfolder.rclone": {"os.write"},  # the node program's log
    }
    assert {name for name, tree in CODE.items() if "rich" in {one.partition(".")[0] for one in imported(tree)}} == {
        "launcher.ui.console",
        "launcher.ui.live",
        "launcher.ui.run_page",
    }
    assert {name for name, tree in CODE.items() if "typer" in imported(tree)} == {
        "launcher.cli",
        "launcher.options",
    }


def test_nothing_runs_at_import_and_nothing_is_global():
    for name, tree in CODE.items():
        for one in ast.walk(tree):
            assert not isinstance(one, ast.Global), name


def test_the_command_line_is_light():
    code = "import sys, launcher.cli; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    heavy = {"sky", "torch", "transformers", "wandb", "pydantic", "yaml", "rich", "pyarrow", "huggingface_hub", "numpy"}
    heavy |= {"jinja2"}
    assert not set(done.stdout.split()) & heavy
    assert "typer" in done.stdout.split()


@pytest.mark.parametrize(
    "path", sorted((ROOT / "launcher").rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT))
)
def test_every_module_is_written_for_python_3_10_and_says_what_it_is(path):
    tree = ast.parse(path.read_text(), str(path), feature_version=(3, 10))
    assert ast.get_docstring(tree)
