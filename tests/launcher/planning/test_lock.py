import ast
import json
import socket
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from launcher.config.pins import Pins
from launcher.planning.lock import git_commit, resolve
from tests.support.patience import patience


def test_a_branch_is_its_newest_commit_and_moves(repository):
    first = repository("rev-parse", "HEAD")
    assert git_commit(repository.path, "main") == first
    repository("commit", "--quiet", "--allow-empty", "-m", "two")
    assert git_commit(repository.path, "main") == repository("rev-parse", "HEAD") != first


def test_a_tag_is_the_commit_it_names_and_a_branch_comes_first(repository):
    first = repository("rev-parse", "HEAD")
    repository("tag", "light")
    repository("tag", "-a", "v1", "-m", "annotated")
    repository("tag", "both")
    repository("commit", "--quiet", "--allow-empty", "-m", "two")
    repository("branch", "both")
    assert git_commit(repository.path, "light") == first
    assert git_commit(repository.path, "v1") == first
    assert repository("rev-parse", "v1") != first
    assert git_commit(repository.path, "both") == repository("rev-parse", "HEAD")


def test_only_the_whole_name_is_meant(repository, refusal):
    repository("branch", "feature/main")
    repository("branch", "refs/heads/deep")
    for ref in ("mai", "feature", "deep", "HEAD", "ma*"):
        assert refusal(git_commit, repository.path, ref) == (
            f"error: `{repository.path}` has no branch or tag `{ref}`\n\nhint: see `git ls-remote {repository.path}`"
        )


def test_a_repository_that_cannot_be_read_is_a_sentence(tmp_path, refusal, monkeypatch):
    monkeypatch.setenv("LC_ALL", "C")
    found = refusal(git_commit, str(tmp_path / "none"), "main")
    assert found.startswith(f"error: `{tmp_path / 'none'}` cannot be read: ")
    assert found.endswith("\n\nhint: check the address and your access")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert refusal(git_commit, "x", "main") == "error: `git` is not installed\n\nhint: install git"


def test_an_address_cannot_be_an_option(refusal, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "cannot be read" in refusal(git_commit, f"--upload-pack=touch {tmp_path / 'broken'}", "main")
    assert not (tmp_path / "broken").exists()


def test_locking_asks_only_for_what_is_no_commit(repository, recipe):
    text = f"""
name: some
about: a
image: a
sources:
  moving: {{git: {repository.path}, ref: main, package: a}}
  fixed: {{git: /not/there, ref: {"a" * 40}, package: a}}
models: {{mine: {{repo: tiny}}, folder: {{repo: /there}}, fixed: {{repo: who/what, revision: {"b" * 40}}}}}
stages: {{one: {{run: [a]}}}}
lists: {{default: {{stages: [one], export: one}}}}
"""
    head = repository("rev-parse", "HEAD")
    assert resolve(recipe(text)) == Pins({f"{repository.path}@main": head}, {})


def test_the_command_writes_the_lock_and_tells_what_moved(repository, toy):
    toy.change_recipe("settings:\n", f"sources: {{s: {{git: {repository.path}, ref: main, package: p}}}}\nsettings:\n")
    toy.change_recipe("  sum:\n", "  sum:\n    source: s\n")
    refused = toy.launcher("plan", "toy-tiny")
    assert refused.returncode == 2
    assert refused.stderr == (
        f"error: source `s` (`{repository.path}`, `main`) is not locked to a commit\n\n"
        "hint: run `launcher lock toy-tiny` and commit the lock file\n"
    )
    first = repository("rev-parse", "HEAD")
    path = toy.root / "recipes/toy/pins.lock.json"
    assert toy.launcher("lock", "toy-tiny").stdout == f"{repository.path}@main {first[:12]}\nwrote {path}\n"
    assert toy.plan().sources["s"].commit == first
    repository("commit", "--quiet", "--allow-empty", "-m", "two")
    assert toy.plan().sources["s"].commit == first
    second = repository("rev-parse", "HEAD")
    again = toy.launcher("lock", "toy-tiny").stdout
    assert again.startswith(f"{repository.path}@main {second[:12]} (was {first[:12]})\n")
    assert toy.plan().sources["s"].commit == second


ANSWERS = {
    "who/fine": (200, {}, {"id": "who/fine", "sha": "c" * 40}),
    "who/bare": (200, {}, {"id": "who/bare"}),
    "who/moved": (404, {"X-Error-Code": "RevisionNotFound"}, {}),
    "who/gated": (403, {"X-Error-Code": "GatedRepo"}, {}),
    "who/none": (404, {"X-Error-Code": "RepoNotFound"}, {}),
    "who/broken": (500, {}, {}),
}
ASK = """
import sys
from launcher.errors import LaunchError
from launcher.planning.lock import model_commit
for repo in sys.argv[1:]:
    try:
        print(repr(model_commit(repo, "main")))
    except LaunchError as problem:
        print(repr(str(problem)))
"""


class Hub(BaseHTTPRequestHandler):
    """A hub of a few models, each with its own trouble."""

    def do_GET(self):
        code, headers, body = ANSWERS[self.path.removeprefix("/api/models/").partition("/revision/")[0]]
        self.send_response(code)
        for name, value in {**headers, "Content-Type": "application/json"}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, *words):
        pass


def asked(environment, endpoint, *repos):
    env = {**environment, "HF_ENDPOINT": endpoint, "HF_HUB_DISABLE_TELEMETRY": "1", "NO_PROXY": "*"}
    done = subprocess.run(
        [sys.executable, "-c", ASK, *repos], env=env, capture_output=True, text=True, timeout=patience(60)
    )
    assert done.returncode == 0, done.stderr
    return dict(zip(repos, (ast.literal_eval(line) for line in done.stdout.splitlines()), strict=True))


def test_every_answer_of_the_hub_is_a_commit_or_a_sentence(environment):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        found = asked(environment, f"http://127.0.0.1:{server.server_port}", *ANSWERS)
    finally:
        server.shutdown()
        server.server_close()
    broken = found.pop("who/broken")
    assert broken.startswith("error: the hub cannot be asked about `who/broken`: ")
    assert broken.endswith("\n\nhint: check your connection") and broken.count("\n") == 2
    assert found == {
        "who/fine": "c" * 40,
        "who/bare": "error: the hub gave no commit for `who/bare@main`\n\nhint: pin a commit in the recipe",
        "who/moved": "error: `who/moved` has no revision `main`\n\nhint: see the model's page for its branches",
        "who/gated": "error: `who/gated` is gated\n\nhint: accept its terms on its page and set HF_TOKEN",
        "who/none": "error: the hub has no model `who/none`\n\nhint: check the name; a private one needs HF_TOKEN",
    }


def test_a_hub_that_does_not_answer_is_a_sentence(environment):
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        found = asked(environment, endpoint, "who/fine")["who/fine"]
    assert found.startswith("error: the hub cannot be asked about `who/fine`: ")
    assert found.endswith("\n\nhint: check your connection")
