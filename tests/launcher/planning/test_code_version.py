import subprocess

import pytest

from launcher.errors import LaunchError
from launcher.planning.code_version import changes, code_of, find_root, last_commit
from launcher.runfolder.files import tree_hash


def test_a_family_s_code_is_its_own_and_what_is_shared(toy):
    assert code_of(toy.root, "toy").folders == ("recipes/toy",)
    (toy.root / "recipes/common").mkdir(exist_ok=True)
    (toy.root / "recipes/common/a.py").write_text("")
    found = code_of(toy.root, "toy")
    assert found.folders == ("recipes/common", "recipes/toy")
    assert found.tree == tree_hash(toy.root, found.folders)


def test_outside_of_git_there_is_no_commit(toy, monkeypatch):
    found = code_of(toy.root, "toy")
    assert (found.commit, found.dirty) == (None, False)
    monkeypatch.setenv("PATH", str(toy.root))
    assert code_of(toy.root, "toy") == found


def test_in_git_the_commit_is_named_and_a_change_of_the_family_s_code_is_seen(toy, monkeypatch):
    for name, value in toy.env.items():
        if name.startswith("GIT_"):
            monkeypatch.setenv(name, value)

    def git(*words):
        return subprocess.run(["git", *words], cwd=toy.root, capture_output=True, text=True, check=True).stdout.strip()

    git("init", "--quiet")
    git("add", "--all")
    git("commit", "--quiet", "-m", "all")
    assert code_of(toy.root, "toy").commit == git("rev-parse", "HEAD")
    assert not code_of(toy.root, "toy").dirty
    (toy.root / "README.md").write_text("elsewhere")
    assert not code_of(toy.root, "toy").dirty
    (toy.root / "launcher/node").mkdir(parents=True)
    (toy.root / "launcher/node/more.py").write_text("")
    assert not code_of(toy.root, "toy").dirty
    assert code_of(toy.root, "toy", imaged=True).dirty
    (toy.root / "recipes/toy/more.py").write_text("")
    assert code_of(toy.root, "toy").dirty
    assert changes(toy.root, ("recipes/toy",)) == ["recipes/toy/more.py"]
    with last_commit(toy.root) as place:
        assert (place / "recipes/toy/count.py").read_bytes() == (toy.root / "recipes/toy/count.py").read_bytes()
        assert not (place / "recipes/toy/more.py").exists()
    assert not place.exists()


def test_what_was_never_committed_cannot_be_had(toy):
    with pytest.raises(LaunchError) as caught, last_commit(toy.root):
        pass
    assert str(caught.value).endswith("hint: `--dirty` needs a git checkout")


def test_the_project_is_where_the_user_is_or_our_own(toy, project, monkeypatch):
    assert find_root() == toy.root
    monkeypatch.chdir(toy.root.parent)
    assert find_root() == project
