import pytest

from launcher.config.site import SiteFile
from launcher.preflight import access
from launcher.preflight.access import Answer, accounts
from launcher.preflight.access import secrets as check
from launcher.preflight.finding import OK, REFUSED, UNKNOWN, WARNING, Finding
from launcher.runfolder.plan import Code, Plan

TOKEN, KEY = "hf_" + "a1" * 17, "0123456789" * 4


def plan(**names):
    return Plan("run", "some-7b", (), "one", Code("t"), secrets=names)


PLAN = plan(A_TOKEN=True, B_KEY=False, C_KEY=True)


def test_a_secret_the_run_cannot_do_without_is_asked_for_by_name():
    assert check(PLAN, SiteFile(), {"A_TOKEN": "", "B_KEY": "x"}) == Finding(
        "secrets", REFUSED, "not set: A_TOKEN, C_KEY", "`export A_TOKEN=...`"
    )


def test_an_optional_secret_may_be_absent():
    found = check(PLAN, SiteFile(), {"A_TOKEN": "x", "C_KEY": "y"})
    assert found == Finding("secrets", OK, "optional and not set: B_KEY")


def test_no_value_is_ever_shown():
    found = check(PLAN, SiteFile(), {"A_TOKEN": "secret", "B_KEY": "secret", "C_KEY": "secret"})
    assert found == Finding("secrets", OK, "all set")


def test_a_reference_of_site_yaml_that_leads_nowhere_is_refused():
    assert check(PLAN, SiteFile(secrets={"B_KEY": "env:MINE"}), {"A_TOKEN": "x", "C_KEY": "y"}) == Finding(
        "secrets", REFUSED, "site.yaml: `secrets.B_KEY` is `env:MINE`, where there is nothing", "`export MINE=...`"
    )
    site = SiteFile.model_validate({"registry_login": {"username": "a", "password": "env:P"}})
    assert check(plan(), site, {}) == Finding(
        "secrets", REFUSED, "site.yaml has `registry_login` and no `registry`", "name it: `registry: ghcr.io/acme`"
    )


@pytest.mark.parametrize(
    ("name", "value", "level"),
    [
        ("HF_TOKEN", TOKEN, OK),
        ("HF_TOKEN", TOKEN[:-1], WARNING),
        ("HF_TOKEN", f'"{TOKEN}"', WARNING),
        ("WANDB_API_KEY", KEY, OK),
        ("WANDB_API_KEY", "wandb_v1_" + "aB1_" * 19, OK),
        ("WANDB_API_KEY", KEY[:-1], WARNING),
        ("AWS_ACCESS_KEY_ID", "AKIA" + "A1B2" * 4, OK),
        ("AWS_ACCESS_KEY_ID", "0123456789abcdef" * 2, OK),
        ("AWS_ACCESS_KEY_ID", "AKIA", WARNING),
        ("AWS_SECRET_ACCESS_KEY", "a/B+" * 10, OK),
        ("AWS_SECRET_ACCESS_KEY", "a/B+", WARNING),
        ("OTHER", "x", OK),
    ],
)
def test_what_does_not_look_like_a_key_is_a_warning_that_says_where_it_was_read(name, value, level):
    found = check(plan(**{name: False}), SiteFile(), {name: value})
    assert found.level == level and value not in found.says + found.hint
    if level == WARNING:
        assert found.says == f"{name} (env:{name}) does not look like one"
        assert found.hint == "copy it again, whole and without quotes"


def test_several_that_do_not_look_like_keys_are_one_warning():
    found = check(plan(HF_TOKEN=False, WANDB_API_KEY=True), SiteFile(), {"HF_TOKEN": "a", "WANDB_API_KEY": "b"})
    says = "HF_TOKEN (env:HF_TOKEN), WANDB_API_KEY (env:WANDB_API_KEY) do not look like keys"
    assert found == Finding("secrets", WARNING, says, "copy it again, whole and without quotes")


@pytest.mark.parametrize(
    ("answers", "finding"),
    [
        ({}, Finding("accounts", OK, "no key to check")),
        (
            {"HF_TOKEN": True, "WANDB_API_KEY": None},
            Finding("accounts", UNKNOWN, "HF_TOKEN is valid; WANDB_API_KEY not checked: no answer from wandb.test"),
        ),
        (
            {"HF_TOKEN": False, "WANDB_API_KEY": None},
            Finding(
                "accounts",
                REFUSED,
                "hub.test does not know HF_TOKEN (env:HF_TOKEN); WANDB_API_KEY not checked: no answer from wandb.test",
                "make a new one and put it where it is read: `export HF_TOKEN=...`",
            ),
        ),
        (
            {"HF_TOKEN": True, "WANDB_API_KEY": False},
            Finding(
                "accounts",
                REFUSED,
                "HF_TOKEN is valid; wandb.test does not know WANDB_API_KEY (env:WANDB_API_KEY)",
                "make a new one and put it where it is read: `export WANDB_API_KEY=...`",
            ),
        ),
    ],
)
def test_a_key_that_its_service_does_not_know_is_refused(monkeypatch, answers, finding):
    hosts = {"HF_TOKEN": "hub.test", "WANDB_API_KEY": "wandb.test"}
    monkeypatch.setattr(
        access, "ask", lambda name, value, env: Answer(hosts[name], answers[name]) if name in answers else None
    )
    env = {"HF_TOKEN": TOKEN, "WANDB_API_KEY": KEY, "OTHER": "x"}
    assert accounts(plan(HF_TOKEN=False, WANDB_API_KEY=False, OTHER=True), SiteFile(), env) == finding
