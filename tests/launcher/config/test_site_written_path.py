from pathlib import Path

from launcher.config.site import expand_home


def test_a_tilde_is_a_home_folder(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    assert expand_home("~/a") == Path("/home/me/a") and expand_home("a~") == Path("a~")


def test_a_user_that_there_is_not_is_a_sentence(refusal):
    assert refusal(expand_home, "~nobody-of-that-name/a") == (
        "error: `~nobody-of-that-name/a`: there is no such user\n\nhint: a file of that name is `./~...`"
    )
