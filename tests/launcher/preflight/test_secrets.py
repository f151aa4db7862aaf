from launcher.node.records import Code, Plan
from launcher.preflight.finding import OK, REFUSED, Finding
from launcher.preflight.secrets import check

PLAN = Plan("run", "some-7b", (), "one", Code("t"), secrets={"A_TOKEN": True, "B_KEY": False, "C_KEY": True})


def test_a_secret_the_run_cannot_do_without_is_asked_for_by_name():
    assert check(PLAN, {"A_TOKEN": "", "B_KEY": "x"}) == Finding(
        "secrets", REFUSED, "not set: A_TOKEN, C_KEY", "`export A_TOKEN=...`"
    )


def test_an_optional_secret_may_be_absent():
    assert check(PLAN, {"A_TOKEN": "x", "C_KEY": "y"}) == Finding("secrets", OK, "optional and not set: B_KEY")


def test_no_value_is_ever_shown():
    found = check(PLAN, {"A_TOKEN": "secret", "B_KEY": "secret", "C_KEY": "secret"})
    assert found == Finding("secrets", OK, "all set")
