import socket
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

from launcher.config.site import SiteFile
from launcher.preflight.access import sources as check
from launcher.preflight.finding import OK, REFUSED, WARNING, Finding
from launcher.preflight.runner import quick, thorough
from launcher.runfolder.plan import Code, Plan, Source


def plan(git, commit, ref="ours"):
    return Plan("run", "some-7b", (), "one", Code("0"), sources={"verl": Source(git, ref, commit, "verl")})


def test_without_git_pins_nobody_is_asked():
    nothing = Finding("sources", OK, "no stage imports a git repository")
    assert check(Plan("run", "some-7b", (), "one", Code("0")), paid=True) == nothing


def test_a_branch_that_is_there_is_fine_and_one_that_went_on_too(repository):
    name = f"{repository.path}@ours"
    assert check(plan(repository.path, repository.commit), paid=True) == Finding("sources", OK, name)
    repository("checkout", "--quiet", "ours")
    repository("commit", "--quiet", "--allow-empty", "-m", "two")
    new = repository("rev-parse", "HEAD")
    says = f"{name} is at {new[:12]} now, the run takes {repository.commit[:12]}"
    assert check(plan(repository.path, repository.commit), paid=True) == Finding("sources", OK, says)


def test_a_pin_that_is_a_commit_needs_a_repository_that_answers(repository):
    pinned = plan(repository.path, repository.commit, repository.commit)
    assert check(pinned, paid=True) == Finding("sources", OK, f"{repository.path} answers")


def test_a_branch_that_vanished_is_refused_where_a_machine_is_paid(repository):
    repository("branch", "--delete", "--force", "ours")
    says, hint = f"`{repository.path}` has no branch or tag `ours`", f"see `git ls-remote {repository.path}`"
    assert check(plan(repository.path, repository.commit), paid=True) == Finding("sources", REFUSED, says, hint)
    assert check(plan(repository.path, repository.commit), paid=False) == Finding("sources", WARNING, says, hint)


@pytest.fixture
def closed():
    """A port of this machine at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def test_a_host_that_nobody_answers_at_is_refused(repository, closed):
    git = f"git://127.0.0.1:{closed}/verl"
    reason = "fatal: unable to connect to 127.0.0.1: 127.0.0.1[0: 127.0.0.1]: errno=Connection refused"
    assert check(plan(git, repository.commit), paid=True) == Finding(
        "sources", REFUSED, f"`{git}` cannot be read: {reason}", "check the address and your access"
    )


def test_of_ssh_the_reason_is_told_and_git_s_advice_is_not(repository, monkeypatch):
    monkeypatch.setenv(
        "GIT_SSH_COMMAND", "sh -c 'echo ssh: connect to host h port 22: Connection refused >&2; exit 255'"
    )
    found = check(plan("git@h:acme/verl", repository.commit), paid=True)
    assert found.says == "`git@h:acme/verl` cannot be read: ssh: connect to host h port 22: Connection refused"


class Closed(BaseHTTPRequestHandler):
    """A host that wants a password."""

    def do_GET(self):
        self.send_response(401)
        self.send_header("WWW-Authenticate", "Basic")
        self.end_headers()

    def log_message(self, *_):
        pass


def test_a_private_repository_is_refused_without_asking_for_a_password(repository):
    with HTTPServer(("127.0.0.1", 0), Closed) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        git = f"http://127.0.0.1:{server.server_port}/verl"
        found = check(plan(git, repository.commit, repository.commit), paid=True)
        server.shutdown()
    assert found == Finding(
        "sources",
        REFUSED,
        f"`{git}` cannot be read: fatal: could not read Username for 'http://127.0.0.1:{server.server_port}': "
        "terminal prompts disabled",
        "check the address and your access",
    )


def test_a_host_that_never_answers_is_given_up(repository, monkeypatch):
    monkeypatch.setattr("launcher.planning.lock.PATIENCE", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        git = f"git://127.0.0.1:{silent.getsockname()[1]}/verl"
        says = f"`{git}` did not answer within 0.3 s"
        assert check(plan(git, repository.commit), paid=True) == Finding(
            "sources", REFUSED, says, "check your connection"
        )


def test_a_launch_asks_and_a_plan_does_not(repository, toy):
    pin = f"sources: {{verl: {{git: {repository.path}, ref: ours, package: verl}}}}\nsettings:\n"
    toy.change_recipe("settings:\n", pin)
    toy.change_recipe("  sum:\n", "  sum:\n    source: verl\n")
    assert toy.launcher("lock", "toy-tiny").returncode == 0
    repository("branch", "--delete", "--force", "ours")
    planned, site = toy.planned(), SiteFile.model_validate({"local": {"python": sys.executable}})
    says, hint = f"`{repository.path}` has no branch or tag `ours`", f"see `git ls-remote {repository.path}`"
    assert Finding("sources", WARNING, says, hint) in thorough(planned, toy.root, site)
    assert "sources" not in [one.check for one in quick(planned, toy.root, site)]
