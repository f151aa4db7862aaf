"""The names that bash, zsh and fish complete, asked for as these shells ask."""

import shutil
import subprocess
import sys

import pytest

PROGRAM = "import sys; sys.argv[0] = 'launcher'; from launcher.cli import main; main()"
CLOUDS = ["local", "docker", "slurm", "runpod", "lambda"]


def asked(toy, shell, text):
    """What the launcher prints when the shell asks for the end of a command line."""
    words = text.split(" ")
    variables = {
        "bash": {"COMP_WORDS": text, "COMP_CWORD": str(len(words) - 1)},
        "zsh": {"_TYPER_COMPLETE_ARGS": text},
        "fish": {"_TYPER_COMPLETE_ARGS": text, "_TYPER_COMPLETE_FISH_ACTION": "get-args"},
    }[shell]
    return program(toy, {"_LAUNCHER_COMPLETE": f"complete_{shell}", **variables})


def program(toy, variables, *words):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *words],
        cwd=toy.root,
        env={**toy.env, **variables},
        capture_output=True,
        text=True,
    )
    assert done.stderr == "", done.stderr
    return done.stdout


def names(toy, text):
    return asked(toy, "bash", text).split()


@pytest.mark.parametrize(
    ("shell", "answer"),
    [
        ("bash", "toy-tiny\n"),
        ("zsh", """_arguments '*: :(("toy-tiny"))'\n"""),
        ("fish", "toy-tiny\n"),
    ],
)
def test_each_shell_is_told_the_recipes(toy, shell, answer):
    assert asked(toy, shell, "launcher plan to") == answer


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_is_told_the_commands(toy, shell):
    assert "rehearse" in asked(toy, shell, "launcher reh")


def test_runs_and_their_stages_are_completed(toy):
    toy.finish()
    shutil.copytree(toy.folder().path, toy.folder("other").path)
    plan = toy.folder("other").plan
    plan.write_text(plan.read_text().replace('"again"', '"later"'))
    assert sorted(names(toy, "launcher status ")) == ["other", "toy-tiny"]
    assert names(toy, "launcher watch o") == ["other"]
    assert names(toy, "launcher launch --resume t") == ["toy-tiny"]
    assert names(toy, "launcher logs toy-tiny --stage ") == ["sum", "again"]
    assert names(toy, "launcher logs --stage l") == ["later"]
    assert names(toy, "launcher launch toy-tiny --redo ") == ["sum", "again"]
    assert names(toy, "launcher launch toy-tiny --run other --redo ") == ["sum", "later"]
    assert names(toy, "launcher launch toy-tiny --run nothing --redo ") == []


def test_clouds_checks_and_stage_lists_are_completed(toy):
    assert sorted(names(toy, "launcher plan --cloud ")) == sorted(CLOUDS)
    assert names(toy, "launcher plan --cloud runpod,la") == ["runpod,lambda"]
    assert {"memory", "pins", "price"} <= set(names(toy, "launcher launch --force "))
    assert names(toy, "launcher launch toy-tiny --stages s") == ["short"]
    assert names(toy, "launcher image ") == ["toy", "toy-tiny"]
    assert names(toy, "launcher rehearse ") == ["toy", "toy-tiny"]


@pytest.mark.parametrize("text", ["launcher status ", "launcher logs --stage ", "launcher plan toy-tiny --stages "])
def test_what_cannot_be_read_is_not_completed_and_prints_nothing(toy, tmp_path, text):
    (tmp_path / "config/launcher/site.yaml").write_text("store: [\n")
    toy.recipe.write_text("name: [\n")
    assert asked(toy, "bash", text).strip() == ""


def test_bash_completes_with_the_script_that_the_launcher_prints(toy, tmp_path):
    script = program(toy, {"_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}, "--show-completion", "bash")
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "launcher").write_text(f"#!{sys.executable}\n{PROGRAM}\n")
    (folder / "launcher").chmod(0o755)
    question = 'COMP_WORDS=(launcher plan to) COMP_CWORD=2; _launcher_completion launcher; echo "${COMPREPLY[@]}"'
    env = {**toy.env, "PATH": f"{folder}:{toy.env['PATH']}"}
    argv = ["bash", "--norc", "-c", f"{script}\n{question}"]
    done = subprocess.run(argv, cwd=toy.root, env=env, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("toy-tiny\n", "")


def test_completion_of_names_imports_nothing_heavy(toy):
    code = f"{PROGRAM.replace('main()', '')}\ntry: main()\nexcept SystemExit: print(*sys.modules)"
    variables = {"_LAUNCHER_COMPLETE": "complete_bash", "COMP_WORDS": "launcher plan to", "COMP_CWORD": "2"}
    argv = [sys.executable, "-c", code]
    done = subprocess.run(argv, cwd=toy.root, env={**toy.env, **variables}, capture_output=True, text=True, check=True)
    assert "toy-tiny" in done.stdout
    assert not {"sky", "torch", "transformers", "rich", "pyarrow", "numpy"} & set(done.stdout.split())
