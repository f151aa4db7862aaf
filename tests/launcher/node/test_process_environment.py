"""Stages that pin a git source: real repositories, real stages that import from them."""

import os
import subprocess

import pytest

from launcher.node.process import CheckoutError, checkout
from launcher.runfolder.plan import Source, Stage

WHERE = "import sys, trainer; open(sys.argv[2] + '/said', 'w').write(f'{trainer.SAYS} {trainer.__file__}')"


@pytest.fixture
def repository(tmp_path, environment):
    """A repository with the package `trainer` on two branches that say different things."""
    folder = tmp_path / "repository"

    def git(*words):
        done = subprocess.run(["git", *words], cwd=folder, env=environment, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    def commit(says, place="trainer"):
        (folder / place).mkdir(parents=True, exist_ok=True)
        (folder / place / "__init__.py").write_text(f"SAYS = '{says}'\n")
        git("add", "--all")
        git("commit", "--quiet", "-m", says)
        return git("rev-parse", "HEAD")

    folder.mkdir()
    git("init", "--quiet", "--initial-branch", "main")
    git.commit, git.path = commit, folder
    git.first = commit("first")
    git("checkout", "--quiet", "-b", "other")
    git.second = commit("second")
    git("checkout", "--quiet", "main")
    return git


def pinned(repository, by_hand, stages, folder=".", package="trainer", text=WHERE):
    """A node program with a stage for each name -> commit; every stage writes what the package it imports says."""
    sources = {name: Source(str(repository.path), "main", commit, package, folder) for name, commit in stages.items()}
    by_hand(dict.fromkeys(stages, text))
    made = {name: Stage(name, ("python", f"{name}.py", "{work}", "{out}"), source=name) for name in stages}
    return by_hand(made, sources=sources)


def said(node, stage):
    return (node.folder.stage(stage).out / "said").read_text().split(" ", 1)


def test_two_stages_run_two_branches_of_one_repository_each_from_its_own_checkout(repository, by_hand):
    node = pinned(repository, by_hand, {"one": repository.first, "two": repository.second})
    assert (done := node.run()).returncode == 0, done.stderr
    for stage, says, commit in (("one", "first", repository.first), ("two", "second", repository.second)):
        assert said(node, stage) == [says, str(node.folder.sources / commit / "trainer/__init__.py")]
    assert repository("status", "--porcelain") == "" and repository("branch", "--show-current") == "main"


def test_a_second_stage_of_the_same_commit_takes_the_same_checkout_as_importing_left_it(repository, by_hand):
    node = pinned(repository, by_hand, {"one": repository.first, "two": repository.first})
    assert (done := node.run()).returncode == 0, done.stderr
    assert (node.folder.sources / repository.first / "trainer/__pycache__").is_dir()
    assert said(node, "two")[0] == "first"


def test_a_branch_that_moved_after_it_was_locked_still_runs_the_locked_commit(repository, by_hand):
    node = pinned(repository, by_hand, {"one": repository.first})
    repository.commit("moved")
    repository.commit("moved again")
    assert (done := node.run()).returncode == 0, done.stderr
    assert said(node, "one")[0] == "first"


def test_a_package_of_the_same_name_elsewhere_does_not_win(repository, by_hand, tmp_path):
    node = pinned(repository, by_hand, {"one": repository.first})
    for place in (node.code, tmp_path / "elsewhere"):
        (place / "trainer").mkdir(parents=True)
        (place / "trainer/__init__.py").write_text("SAYS = 'wrong'\n")
    node.env["PYTHONPATH"] = os.pathsep.join([str(tmp_path / "elsewhere"), node.env["PYTHONPATH"]])
    assert (done := node.run()).returncode == 0, done.stderr
    assert said(node, "one")[0] == "first"


def test_processes_that_a_stage_starts_get_the_pinned_package_too(repository, by_hand):
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {WHERE!r}, *sys.argv[1:]], check=True)"
    node = pinned(repository, by_hand, {"one": repository.first}, text=code)
    (node.code / "trainer.py").write_text("SAYS = 'wrong'\n")
    assert (done := node.run()).returncode == 0, done.stderr
    assert said(node, "one")[0] == "first"


def test_a_package_may_lie_deeper_in_the_checkout(repository, by_hand):
    commit = repository.commit("deep", "python/src/trainer")
    node = pinned(repository, by_hand, {"one": commit}, folder="python/src")
    assert (done := node.run()).returncode == 0, done.stderr
    assert said(node, "one") == ["deep", str(node.folder.sources / commit / "python/src/trainer/__init__.py")]


def test_a_checkout_without_the_package_is_an_import_error_even_if_another_copy_is_there(repository, by_hand):
    node = pinned(repository, by_hand, {"one": repository.first}, folder="python")
    (node.code / "trainer.py").write_text("SAYS = 'wrong'\n")
    assert node.run().returncode == 3
    place = node.folder.sources / repository.first / "python"
    assert node.folder.stage("one").log.read_text().splitlines()[-1] == (
        f"ImportError: `trainer` is pinned to commit {repository.first[:12]}, but {place} does not hold it"
    )


@pytest.mark.parametrize("edit", ["tracked", "added", "moved"])
def test_a_checkout_changed_by_hand_is_refused(repository, by_hand, edit):
    node = pinned(repository, by_hand, {"one": repository.first})
    checkout(Source(str(repository.path), "main", repository.first, "trainer"), node.folder.sources)
    place = node.folder.sources / repository.first
    if edit == "tracked":
        (place / "trainer/__init__.py").write_text("SAYS = 'edited'\n")
        state = "was changed: M trainer/__init__.py"
    elif edit == "added":
        (place / "trainer/more.py").write_text("")
        state = "was changed: ?? trainer/more.py"
    else:
        words = ["git", "fetch", "--quiet", str(repository.path), "other"]
        subprocess.run(words, cwd=place, env=node.env, check=True)
        subprocess.run(["git", "checkout", "--quiet", repository.second], cwd=place, env=node.env, check=True)
        state = f"is at {repository.second[:12]}"
    done = node.run()
    assert (done.returncode, done.stderr) == (
        3,
        f"error: stage `one`: the checkout of `{repository.path}` at {repository.first[:12]} {state}\n\n"
        f"hint: check `{repository.path}` and `main`\n",
    )


def test_a_commit_that_there_is_not_is_a_sentence(repository, by_hand):
    node = pinned(repository, by_hand, {"one": "d" * 40})
    done = node.run()
    assert done.returncode == 3
    assert done.stderr.startswith("error: stage `one`: `git checkout` failed: ")
    assert done.stderr.endswith(f"\n\nhint: check `{repository.path}` and `main`\n")
    assert not (node.folder.sources / ("d" * 40)).exists()
    assert node.events()[-1]["code"] == 3


def test_a_repository_that_there_is_not_is_a_sentence(repository, by_hand):
    node = pinned(repository, by_hand, {"one": repository.first})
    repository.path.rename(repository.path.with_name("gone"))
    done = node.run()
    assert done.returncode == 3
    assert done.stderr.startswith("error: stage `one`: `git fetch` failed: ")


def test_a_checkout_that_was_cut_off_is_made_again(repository, by_hand):
    node = pinned(repository, by_hand, {"one": repository.first})
    part = node.folder.sources / f".{repository.first}.part"
    (part / ".git").mkdir(parents=True)
    (part / "trainer").mkdir()
    assert (done := node.run()).returncode == 0, done.stderr
    assert said(node, "one")[0] == "first"
    assert not part.exists()


def test_a_server_that_hands_out_branches_only_is_asked_for_them(repository, by_hand):
    """Protocol version 0 gives away only the tips of branches: an older commit takes the second way."""
    repository.commit("newer")
    node = pinned(repository, by_hand, {"one": repository.first})
    count = int(node.env.get("GIT_CONFIG_COUNT", 0))
    node.env |= {"GIT_CONFIG_COUNT": str(count + 1), f"GIT_CONFIG_KEY_{count}": "protocol.version"}
    node.env[f"GIT_CONFIG_VALUE_{count}"] = "0"
    assert (done := node.run()).returncode == 0, done.stderr
    assert said(node, "one")[0] == "first"


def test_inside_a_git_hook_the_repository_being_committed_to_is_left_alone(repository, by_hand, tmp_path):
    mine = tmp_path / "mine"
    words = ["git", "init", "--quiet", "--initial-branch", "mine", str(mine)]
    node = pinned(repository, by_hand, {"one": repository.first})
    subprocess.run(words, env=node.env, check=True)
    node.env |= {"GIT_DIR": str(mine / ".git"), "GIT_WORK_TREE": str(mine), "GIT_INDEX_FILE": str(mine / ".git/index")}
    assert (done := node.run()).returncode == 0, done.stderr
    assert said(node, "one")[0] == "first"
    assert (mine / ".git/HEAD").read_text() == "ref: refs/heads/mine\n"
    assert sorted(path.name for path in mine.iterdir()) == [".git"]


def test_a_sitecustomize_that_was_there_before_still_runs(repository, by_hand, tmp_path):
    text = WHERE + "\nimport os; assert os.environ['CUSTOM'] == 'yes'"
    node = pinned(repository, by_hand, {"one": repository.first}, text=text)
    (tmp_path / "custom").mkdir()
    (tmp_path / "custom/sitecustomize.py").write_text("import os\nos.environ['CUSTOM'] = 'yes'\n")
    node.env["PYTHONPATH"] = os.pathsep.join([str(tmp_path / "custom"), node.env["PYTHONPATH"]])
    assert (done := node.run()).returncode == 0, done.stderr + node.folder.stage("one").log.read_text()
    assert said(node, "one")[0] == "first"


def test_a_sitecustomize_that_breaks_does_not_take_the_pin_away(repository, by_hand, tmp_path):
    node = pinned(repository, by_hand, {"one": repository.first})
    (node.code / "trainer.py").write_text("SAYS = 'wrong'\n")
    (tmp_path / "custom").mkdir()
    (tmp_path / "custom/sitecustomize.py").write_text("raise ValueError('broken')\n")
    node.env["PYTHONPATH"] = os.pathsep.join([str(tmp_path / "custom"), node.env["PYTHONPATH"]])
    node.run()
    assert said(node, "one")[0] == "first"


def test_a_stage_without_a_source_is_not_touched(repository, by_hand):
    node = pinned(repository, by_hand, {"one": repository.first})
    node = by_hand({"two": WHERE})
    (node.code / "trainer.py").write_text("SAYS = 'own'\n")
    assert (done := node.run()).returncode == 0, done.stderr
    assert said(node, "two")[0] == "own"
    assert not node.folder.sources.exists()


def test_without_git_a_pinned_stage_is_a_sentence(repository, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    with pytest.raises(CheckoutError, match=r"^`git` is not installed here$"):
        checkout(Source(str(repository.path), "main", repository.first, "trainer"), tmp_path / "sources")
