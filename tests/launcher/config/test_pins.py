import pytest

from launcher.config.pins import Pins, is_local, read_pins, write_pins

COMMIT, OTHER = "a" * 40, "0123456789" * 4


def test_a_lock_file_is_read_as_it_was_written_and_the_same_pins_are_the_same_bytes(tmp_path):
    pins = Pins({"/there@main": COMMIT, "/here@main": OTHER}, {"who/what@main": OTHER})
    write_pins(tmp_path / "one", pins)
    assert read_pins(tmp_path / "one") == pins
    write_pins(tmp_path / "two", Pins(dict(reversed(pins.sources.items())), pins.models))
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_without_a_lock_file_nothing_is_pinned(tmp_path):
    assert read_pins(tmp_path / "none") == Pins()


def test_a_commit_is_its_own_pin_and_a_branch_is_looked_up():
    pins = Pins({"/there@main": COMMIT}, {"who/what@main": OTHER})
    assert pins.source("/there", "main") == COMMIT
    assert pins.source("/there", "dev") is None
    assert pins.source("/there", OTHER) == OTHER
    assert pins.source("/there", OTHER[:12]) is None
    assert pins.model("who/what", "main") == OTHER
    assert pins.model("who/what", COMMIT) == COMMIT
    assert pins.model("who/else", "main") is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"sources": {}, "other": {}}',
        '{"sources": 5}',
        '{"sources": {"a@b": 5}}',
        '{"models": {"a@main": "main"}}',
        "<<<<<<< HEAD\n{}",
    ],
)
def test_a_damaged_lock_file_is_a_sentence(tmp_path, refusal, text):
    path = tmp_path / "pins.lock.json"
    path.write_text(text)
    assert refusal(read_pins, path) == f"error: `{path}` is not a lock file\n\nhint: delete it and run `launcher lock`"


def test_a_folder_and_a_model_made_here_are_no_hub_s():
    assert [is_local(repo) for repo in ("tiny", "./a", "../a", "/a", "~/a", "who/tiny")] == [True] * 5 + [False]
