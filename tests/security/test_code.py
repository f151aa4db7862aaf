"""What no line of the project does: read from the syntax trees of all its programs."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
PROGRAMS = sorted(path for name in ("launcher", "recipes", "benchmarks") for path in (ROOT / name).rglob("*.py"))
RUN_WHAT_THEY_READ = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "jsonpickle"}
"""Modules whose `load` runs code that a file names."""
SHELLS = {"os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput", "eval", "exec", "compile"}
YAML = {
    "yaml.load": {"launcher/config/yaml.py"},
    "yaml.unsafe_load": set(),
    "yaml.full_load": set(),
    "yaml.load_all": set(),
}


def name_of(node):
    """`a.b.c` of an expression that is one; else nothing."""
    parts = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return ".".join([node.id, *reversed(parts)]) if isinstance(node, ast.Name) else ""


def calls(tree):
    return [one for one in ast.walk(tree) if isinstance(one, ast.Call)]


def given(call, name):
    """The keyword's expression."""
    return next((one.value for one in call.keywords if one.arg == name), None)


def faults(path, text):
    """A line for each thing in a program that it must not do."""
    tree, place = ast.parse(text), path.relative_to(ROOT).as_posix()
    renamed = {
        alias.asname or alias.name: f"{one.module}.{alias.name}"
        for one in ast.walk(tree)
        if isinstance(one, ast.ImportFrom)
        for alias in one.names
    }
    for call in calls(tree):
        name = name_of(call.func)
        name = renamed.get(name, name)
        words = {one.arg: one.value.value for one in call.keywords if isinstance(one.value, ast.Constant)}
        if name == "torch.load" and words.get("weights_only") is not True:
            yield f"{place}:{call.lineno}: torch.load without weights_only=True"
        if name.partition(".")[0] in RUN_WHAT_THEY_READ and name.rpartition(".")[2] in ("load", "loads", "Unpickler"):
            yield f"{place}:{call.lineno}: {name}"
        if words.get("trust_remote_code") or words.get("shell") or words.get("allow_pickle"):
            yield f"{place}:{call.lineno}: {[word for word, value in words.items() if value is True]}"
        if words.get("verify") is False or name.endswith("_create_unverified_context"):
            yield f"{place}:{call.lineno}: a certificate is not looked at"
        if name in SHELLS or name == "tempfile.mktemp":
            yield f"{place}:{call.lineno}: {name}"
        if place not in YAML.get(name, {place}):
            yield f"{place}:{call.lineno}: {name}"


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_program_runs_what_it_reads_or_hands_words_to_a_shell(path):
    assert list(faults(path, path.read_text())) == []


@pytest.mark.parametrize(
    "text",
    [
        "import torch\ntorch.load(f)",
        "import torch\ntorch.load(f, weights_only=False)",
        "from torch import load\nload(f)",
        "import pickle\npickle.loads(b)",
        "from pickle import load\nload(f)",
        "A.from_pretrained(x, trust_remote_code=True)",
        "subprocess.run('a', shell=True)",
        "numpy.load(f, allow_pickle=True)",
        "yaml.load(t, L)",
        "yaml.unsafe_load(t)",
        "requests.get(u, verify=False)",
        "os.system('a')",
        "eval(t)",
    ],
)
def test_each_of_them_would_be_seen(text):
    assert len(list(faults(ROOT / "recipes/a.py", text))) == 1


def test_no_recipe_turns_foreign_code_on():
    """A setting of a trainer's, in YAML or as an override."""
    for path in [*ROOT.glob("recipes/**/*.yaml"), *ROOT.glob("jobs/*.yaml"), *PROGRAMS]:
        assert not re.search(r"trust_remote_code\W{1,4}(true|True|on|yes)\b", path.read_text()), path


def test_no_script_of_ours_evaluates_a_word_or_pipes_a_download_into_a_shell():
    scripts = [*ROOT.glob("images/**/Dockerfile"), *ROOT.glob("jobs/*.yaml"), ROOT / "locks/resolve", ROOT / "Makefile"]
    scripts += (ROOT / "launcher/backends/slurm").glob("*.py")
    for path in scripts:
        assert not re.search(r"^\s*eval |\| *(ba)?sh\b|curl .*\|", path.read_text(), re.M), path


def test_no_lock_takes_a_package_from_an_address_or_a_folder():
    for path in [*ROOT.glob("locks/*.lock"), *ROOT.glob("locks/*.in")]:
        for line in path.read_text().splitlines():
            word = line.split("#")[0].strip()
            assert not re.search(r"://| @ |^-e |^\.|^/|^--(index|extra-index|find-links|trusted)", word), (
                f"{path}: {line}"
            )
