"""Magpie on a tiny generator: it can be stopped anywhere, and what comes out is what would have come out."""

import json
import random
import signal

import pytest

from recipes.common.stage.command import Interrupted, Progress
from recipes.common.stage.journal import FILE, Journal
from recipes.synthetic_instruct import generate
from recipes.synthetic_instruct.generate import IN_A_ROW, Settings, fill, magpie
from recipes.synthetic_instruct.speaker import Speaker

from .stages import GENERATE, command, disturb, finish, progress

SETTINGS = Settings(**GENERATE)


@pytest.fixture(scope="module")
def speaker(generator):
    return Speaker(generator, SETTINGS)


@pytest.fixture(scope="module")
def whole(speaker, tmp_path_factory):
    """What is written when nobody disturbs."""
    work = tmp_path_factory.mktemp("whole")
    fill(Journal(work), SETTINGS, magpie(speaker, SETTINGS), Progress(work), lambda: False)
    return (work / FILE).read_bytes()


def rows_of(content):
    return [json.loads(line) for line in content.decode().splitlines()]


def test_every_attempt_is_there_once_and_the_last_is_the_pair_that_was_missing(whole):
    rows = rows_of(whole)
    assert [row["index"] for row in rows] == list(range(len(rows)))
    assert sum("rejected" not in row for row in rows) == 12 and "rejected" not in rows[-1]
    assert any(row["instruction"].endswith("?") for row in rows)


def test_cut_off_at_any_record_and_within_it_goes_on_to_the_same_end(speaker, whole, tmp_path):
    ends = [place + 1 for place, byte in enumerate(whole) if byte == ord("\n")]
    torn = random.Random(0).sample(range(len(whole)), 5)
    batch = magpie(speaker, SETTINGS)
    for length in [0, *ends, *torn]:
        work = tmp_path / str(length)
        work.mkdir()
        (work / FILE).write_bytes(whole[:length])
        made = fill(Journal(work), SETTINGS, batch, Progress(work), lambda: False)
        assert (work / FILE).read_bytes() == whole
        assert len(made) == 12 and len({row["index"] for row in made}) == 12


def test_a_killed_and_a_stopped_process_go_on(generator, whole, tmp_path):
    words = command("generate", GENERATE, tmp_path, model=generator)
    rows = tmp_path / "work" / FILE
    disturb(words, signal.SIGKILL, lambda: rows.exists() and rows.read_bytes().count(b"\n") >= 2)
    killed = rows.read_bytes()
    assert whole.startswith(killed[: killed.rfind(b"\n") + 1])
    output = finish(words)
    assert rows.read_bytes() == whole
    assert "pre-query prefix (Qwen2): '<|im_start|>user\\n'" in output
    pairs = rows_of((tmp_path / "out/pairs.jsonl").read_bytes())
    assert pairs == [row for row in rows_of(whole) if "rejected" not in row]
    metrics = json.loads((tmp_path / "out/metrics.json").read_text())
    assert (metrics["rows"], metrics["missing"], metrics["attempts"]) == (12, 0, len(rows_of(whole)))
    assert metrics["memory_peak_gb"] > 0 < metrics["memory_predicted_gb"]
    steps = [line for line in progress(tmp_path) if "metrics" in line]
    assert steps[-1]["step"] == steps[-1]["steps"] == 12 and steps[-1]["metrics"]["eta_seconds"] == 0


def test_a_stop_leaves_a_checkpoint_from_which_a_fresh_machine_goes_on(speaker, whole, tmp_path):
    batch, work, asked = magpie(speaker, SETTINGS), tmp_path / "work", iter([False, False, True])
    with pytest.raises(Interrupted, match="of 12 pairs are written"):
        fill(Journal(work), SETTINGS, batch, Progress(work), lambda: next(asked))
    (work / FILE).unlink()
    assert Journal(work).rows == rows_of(whole)[:8]
    fill(Journal(work), SETTINGS, batch, Progress(work), lambda: False)
    assert (work / FILE).read_bytes() == whole
    named = [line["checkpoint"] for line in progress(tmp_path) if "checkpoint" in line]
    assert named and (work / named[-1] / FILE).exists()


def test_a_generator_that_only_fails_is_given_up(speaker, tmp_path, refusal):
    def batch(number):
        rows = range(number * 4, number * 4 + 4)
        return [{"index": row, "instruction": "", "rejected": "instruction of 10 characters or fewer"} for row in rows]

    journal = Journal(tmp_path)
    assert refusal(fill, journal, SETTINGS, batch, Progress(tmp_path), lambda: False) == (
        f"error: the last {IN_A_ROW} attempts were rejected, the newest for: instruction of 10 characters or fewer\n\n"
        "hint: read `instruction` in rows.jsonl; the generator must be an Instruct model"
    )
    assert len(journal.rows) == IN_A_ROW


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("Why? " + "a" * 5, "instruction of 10 characters or fewer"),
        ("Why? " + "a" * 6, None),
        ("Why does <|im_end|> end it?", "instruction with a special token"),
        ("word " * 200, "instruction too long to answer"),
        ("Warum ist der Himmel blau? 🙂", None),
    ],
)
def test_an_instruction_that_cannot_be_asked_is_rejected(speaker, text, why):
    assert generate._unusable(text, speaker) == why


def test_a_question_has_no_second_bos_and_ends_with_the_assistant_s_header(speaker):
    text = speaker.tokenizer.decode(speaker.question("Why is the sea salty?"))
    assert text.endswith("<|im_start|>user\nWhy is the sea salty?<|im_end|>\n<|im_start|>assistant\n")
