import sys
import types

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launcher.config.secrets import Values, login, look, lookup, references, server, values
from launcher.config.site import SiteFile
from launcher.runfolder.plan import Code, Plan


def plan(**secrets):
    return Plan("run", "some-7b", (), "one", Code("t"), secrets=secrets)


def site(**given):
    return SiteFile.model_validate(given)


@pytest.fixture
def home(tmp_path):
    cache = tmp_path / ".cache/huggingface"
    cache.mkdir(parents=True)
    (cache / "token").write_text("hf_of_the_hub\n")
    (tmp_path / ".netrc").write_text("machine api.wandb.ai login user password of_wandb\n")
    return {"HOME": str(tmp_path)}


def test_a_secret_is_the_environment_s_or_what_the_service_s_own_login_left(home):
    wanted = plan(HF_TOKEN=False, WANDB_API_KEY=False, OTHER=True)
    assert dict(values(wanted, SiteFile(), home)) == {"HF_TOKEN": "hf_of_the_hub", "WANDB_API_KEY": "of_wandb"}
    env = {**home, "HF_TOKEN": "a", "WANDB_API_KEY": "b", "OTHER": "c", "MORE": "d"}
    assert dict(values(wanted, SiteFile(), env)) == {"HF_TOKEN": "a", "WANDB_API_KEY": "b", "OTHER": "c"}


def test_the_services_own_variables_say_where_their_files_are():
    assert references("HF_TOKEN", SiteFile(), {}) == ["env:HF_TOKEN", "file:~/.cache/huggingface/token"]
    assert references("HF_TOKEN", SiteFile(), {"HF_HOME": "/h"})[1] == "file:/h/token"
    assert references("HF_TOKEN", SiteFile(), {"HF_HOME": "/h", "HF_TOKEN_PATH": "/t"})[1] == "file:/t"
    assert references("OTHER", SiteFile(), {}) == ["env:OTHER"]


def test_site_yaml_s_reference_goes_before_all_others(home):
    env = {**home, "HF_TOKEN": "a", "MINE": " b\n"}
    assert lookup("HF_TOKEN", site(secrets={"HF_TOKEN": "env:MINE"}), env) == ("env:MINE", "b")
    assert references("HF_TOKEN", site(secrets={"HF_TOKEN": "env:MINE"}), env) == ["env:MINE"]


@pytest.mark.parametrize(
    ("reference", "hint"),
    [
        ("env:MINE", "`export MINE=...`"),
        ("file:~/none", "write it to `~/none`, for yourself alone: `umask 077`"),
        ("file:/tmp", "write it to `/tmp`, for yourself alone: `umask 077`"),
        ("netrc:example.org", "add `machine example.org login user password ...` to ~/.netrc"),
    ],
)
def test_a_reference_that_leads_nowhere_is_a_sentence(home, refusal, reference, hint):
    env = {**home, "HF_TOKEN": "there"}
    assert refusal(lookup, "HF_TOKEN", site(secrets={"HF_TOKEN": reference}), env) == (
        f"error: site.yaml: `secrets.HF_TOKEN` is `{reference}`, where there is nothing\n\nhint: {hint}"
    )


def test_a_file_below_home_and_another_netrc(home, tmp_path):
    (tmp_path / "key").write_text("  x\n")
    (tmp_path / "other").write_text("machine example.org login a password p\n")
    (tmp_path / "broken").write_text("machine\n")
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    assert look("file:~/key", home) == "x"
    assert look(f"file:{tmp_path}/key", {}) == "x"
    assert look("netrc:example.org", {**home, "NETRC": str(tmp_path / "other")}) == "p"
    assert look("netrc:example.org", home) is None
    assert look("netrc:example.org", {**home, "NETRC": str(tmp_path / "broken")}) is None
    assert look("file:~/bytes", home) is None


def test_a_keyring_is_asked_when_its_package_is_there(monkeypatch):
    ring, errors = types.ModuleType("keyring"), types.ModuleType("keyring.errors")
    errors.KeyringError = type("KeyringError", (Exception,), {})
    ring.get_password = lambda service, user: {("a/b", "me"): "x"}.get((service, user))
    monkeypatch.setitem(sys.modules, "keyring", ring)
    monkeypatch.setitem(sys.modules, "keyring.errors", errors)
    assert look("keyring:a/b/me", {}) == "x"
    assert look("keyring:a/you", {}) is None


def test_a_keyring_that_is_absent_or_does_not_open_is_a_sentence(monkeypatch, refusal):
    monkeypatch.setitem(sys.modules, "keyring", None)
    assert refusal(look, "keyring:a/me", {}) == (
        "error: `keyring:a/me` needs the package `keyring`, which is not installed\n\n"
        "hint: `.venv/bin/python -m pip install keyring`, or name an `env:` or `file:` reference"
    )
    ring, errors = types.ModuleType("keyring"), types.ModuleType("keyring.errors")
    errors.KeyringError = type("KeyringError", (Exception,), {})

    def closed(service, user):
        raise errors.KeyringError("it is locked")

    ring.get_password = closed
    monkeypatch.setitem(sys.modules, "keyring", ring)
    monkeypatch.setitem(sys.modules, "keyring.errors", errors)
    assert refusal(look, "keyring:a/me", {}) == (
        "error: `keyring:a/me`: the keyring does not open: it is locked\n\nhint: unlock it, or name another reference"
    )


@given(st.dictionaries(st.sampled_from(["HF_TOKEN", "B"]), st.text("0123456789", min_size=8)))
def test_values_are_never_shown(secrets):
    found = Values(secrets)
    for shown in (repr(found), str(found), f"{found}", f"{found!r}", f"{[found]}"):
        assert not any(value in shown for value in secrets.values())
        assert all(name in shown for name in secrets)


@pytest.mark.parametrize(
    ("registry", "host"),
    [
        ("ghcr.io/acme", "ghcr.io"),
        ("localhost:5000/a/b", "localhost:5000"),
        ("localhost/a", "localhost"),
        ("acme", "docker.io"),
        ("docker.io/acme", "docker.io"),
    ],
)
def test_a_registry_s_server_is_its_host_and_docker_hub_has_none(registry, host):
    assert server(registry) == host


def test_a_private_registry_s_account_is_what_skypilot_wants():
    assert login(SiteFile(), {}) == {}
    account = {"username": "me", "password": "env:GHCR"}
    assert dict(login(site(registry="ghcr.io/acme", registry_login=account), {"GHCR": "p"})) == {
        "SKYPILOT_DOCKER_USERNAME": "me",
        "SKYPILOT_DOCKER_PASSWORD": "p",
        "SKYPILOT_DOCKER_SERVER": "ghcr.io",
    }


def test_an_account_without_a_registry_or_a_password_is_a_sentence(refusal):
    account = {"username": "me", "password": "env:GHCR"}
    assert refusal(login, site(registry_login=account), {"GHCR": "p"}) == (
        "error: site.yaml has `registry_login` and no `registry`\n\nhint: name it: `registry: ghcr.io/acme`"
    )
    assert refusal(login, site(registry="ghcr.io/acme", registry_login=account), {}) == (
        "error: site.yaml: `registry_login.password` is `env:GHCR`, where there is nothing\n\nhint: `export GHCR=...`"
    )
