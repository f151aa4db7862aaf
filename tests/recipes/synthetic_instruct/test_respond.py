"""Several answers to each instruction, which can be stopped as generation can."""

import json
import signal

import pytest

from recipes.common.stage.command import Interrupted, Progress
from recipes.common.stage.journal import FILE, Journal
from recipes.synthetic_instruct import respond
from recipes.synthetic_instruct.respond import Settings, answer_all
from recipes.synthetic_instruct.speaker import Speaker

from .stages import RESPOND, command, disturb, finish

SETTINGS = Settings(**RESPOND)


@pytest.fixture
def data(write, chats, tmp_path):
    rows = [{"index": place, "instruction": asked, "reward": -place} for place, (asked, _) in enumerate(chats[:10])]
    return write("data/train.jsonl", rows[::-1]).parent


def test_the_best_by_reward_are_answered_at_every_temperature_also_after_a_kill(generator, data, tmp_path):
    words = command("respond", RESPOND, tmp_path / "stage", model=generator, data=data)
    rows = tmp_path / "stage/work" / FILE
    disturb(words, signal.SIGKILL, lambda: rows.exists() and rows.read_bytes().count(b"\n") >= 1)
    finish(words)
    made = [json.loads(line) for line in (tmp_path / "stage/out/responses.jsonl").read_text().splitlines()]
    assert [row["index"] for row in made] == [0, 1, 2, 3, 4, 5]
    assert all([one["temperature"] for one in row["responses"]] == [0.6, 1.2] for row in made)
    metrics = json.loads((tmp_path / "stage/out/metrics.json").read_text())
    assert (metrics["rows"], metrics["missing"], metrics["responses"]) == (6, 0, 12)


def test_cut_off_at_any_record_goes_on_to_the_same_end(generator, chats, tmp_path):
    speaker = Speaker(generator, SETTINGS)
    rows = [{"index": place, "instruction": asked} for place, (asked, _) in enumerate(chats[:6])]
    answer_all(rows, whole := Journal(tmp_path / "whole"), SETTINGS, speaker, Progress(tmp_path), lambda: False)
    lines = whole.path.read_bytes().splitlines(keepends=True)
    for count in range(6):
        work = tmp_path / str(count)
        work.mkdir()
        (work / FILE).write_bytes(b"".join(lines[:count]) + lines[count][:20])
        answer_all(rows, Journal(work), SETTINGS, speaker, Progress(work), lambda: False)
        assert (work / FILE).read_bytes() == b"".join(lines)


def test_a_stop_is_a_checkpoint(generator, chats, tmp_path):
    rows = [{"index": place, "instruction": asked} for place, (asked, _) in enumerate(chats[:6])]
    journal, asked = Journal(tmp_path), iter([False, True])
    with pytest.raises(Interrupted, match="4 of 6 instructions are answered"):
        answer_all(rows, journal, SETTINGS, Speaker(generator, SETTINGS), Progress(tmp_path), lambda: next(asked))
    assert (tmp_path / "rows-0000004" / FILE).read_bytes().count(b"\n") == 4


def test_nothing_to_answer_is_a_sentence(generator, write, tmp_path, refusal):
    path = write("data/train.jsonl", [])
    words = command("respond", RESPOND, tmp_path / "stage", model=generator, data=path.parent)
    assert refusal(respond.main, words[3:]) == (
        f"error: `{path}` has no rows to answer\n\nhint: loosen the filter, or generate more"
    )
