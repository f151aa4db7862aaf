"""What a report says, whatever the run has or lacks."""

import html
import json
import re
from dataclasses import replace

import pytest

from launcher.clouds.ledger import Ledger
from launcher.report.facts import facts
from launcher.report.page import missing, page
from launcher.runfolder.files import write_json
from launcher.runfolder.status import status
from tests.launcher.report.conftest import BEGAN, EVENTS, HOSTILE, PLAN


def shown(known):
    """The page's visible text."""
    return html.unescape(
        re.sub(r"<style>.*?</style>|<script>.*?</script>|<[^>]*>", "\n", page(known, "", "", "1"), flags=re.S)
    )


def test_every_pin_and_hash_is_named(known, folder):
    text = shown(known)
    for word in ("1" * 40, "2" * 40, "3" * 40, "4" * 64, "7" * 64, "sha256:" + "8" * 64, "9" * 64, "verl 0.9.1"):
        assert word in text
    assert known.plan_sha256 in text and len(known.plan_sha256) == 64
    assert "with uncommitted changes" in text


def test_what_it_cost_is_a_receipt(known):
    text = re.sub(r"\n+", " ", shown(known))
    assert "total $10.80 budget $100.00" in text
    assert f"8x H100 runpod {HOSTILE} 2026-11-18 11:06 UTC 30m 00s 21.60 10.80 still running" in text


def test_the_commands_are_those_that_were_typed(known):
    text = shown(known)
    assert f"git checkout {'1' * 40}   # and the uncommitted changes\n" in text
    assert "make image RECIPE=gad-7b\nlauncher launch gad-7b --cloud runpod --data 'train=" in text
    plain = shown(replace(known, commands=()))
    assert "launcher launch gad-7b --cloud runpod --run gad-7b --data 'train=/data/" in plain
    assert "derived from the plan" in plain


def test_the_course_counts_all_attempts(known):
    text = page(known, "", "", "1")
    assert "failed, 17m 20s, 599 of 1,000 steps, 2 attempts" in text
    assert len(re.findall(r'class="bar \w+"', text)) == 3
    assert 'title="attempt 1: lost, 10m 40s"' in text and 'title="attempt 2: failed, 6m 40s"' in text


def test_curves_are_drawn_what_tells_most_first(known):
    text = page(known, "", "", "1")
    names = [html.unescape(name) for name in re.findall(r'<span class="name">(.*?)</span>', text)]
    assert names == ["actor/loss", "reward", "kl", HOSTILE, "memory, GiB", "busy, %"]


def test_steps_come_from_the_stage_s_own_file_where_it_is_here(known, folder, book):
    own = folder.stage("train").progress
    own.parent.mkdir(parents=True)
    lines = [{"step": step, "steps": 1000, "metrics": {"loss": 1.0}} for step in range(1, 1001)]
    own.write_text("".join(json.dumps(one) + "\n" for one in lines) + '{"step": 10')
    found = facts(PLAN, folder, status(PLAN, EVENTS, False), book, BEGAN)
    assert list(found.history["train"]) == list(range(1, 1001))


def test_what_is_missing_is_said(known):
    assert list(missing(known)) == [
        "no stage reported these metrics: d_acc, length, entropy",
        "train: 1 values are NaN or infinite, and are left out of the curves",
        "no manifest: the model is not exported yet",
    ]
    gaps = {step: one for step, one in known.history["train"].items() if step not in (7, 8)}
    said = list(missing(replace(known, history={"train": gaps}, gpus=(), evaluations={}, commands=())))
    assert "train: 2 steps have no metrics (they are recorded at most once a second)" in said
    assert "no evaluation: no stage wrote one, or it was not copied here" in said
    assert "no GPU use: the machine had no GPU, or no `nvidia-smi`" in said
    assert "no launch commands: they were not recorded" in said
    unpriced = replace(known.machines[0], price=None)
    assert "the price of a machine on runpod is unknown: the total does not include it" in missing(
        replace(known, machines=(unpriced,))
    )


def test_numbers_of_every_tenth_step_are_no_gap(known):
    tenth = {step: {"loss": 1.0} for step in range(10, 110, 10)}
    assert not [one for one in missing(replace(known, history={"train": tenth})) if "have no metrics" in one]


def test_a_finished_run_lists_its_files(folder, book):
    ended = [*EVENTS[:-2], {"time": BEGAN + 1300, "event": "run.finished"}]
    export = {"model.safetensors": {"bytes": 14_000_000_000, "sha256": "a" * 64}}
    write_json(folder.manifest, {"export": export, "stages": {"train": {"fingerprint": "b" * 64}}})
    text = shown(facts(PLAN, folder, status(PLAN, ended, False), book, BEGAN))
    assert "exported model (stage train): 1 files, 14 GB" in text
    assert "a" * 64 in text and "b" * 64 in text and "error:" not in text


def test_a_run_that_has_not_begun_has_a_page(folder, tmp_path):
    folder.events.unlink()
    text = shown(facts(PLAN, folder, status(PLAN, [], False), Ledger(tmp_path / "none"), BEGAN))
    assert "planned" in text and "no machine was rented" in text and "Timeline" not in text


def test_nothing_is_asked_from_anywhere(known):
    text = page(known, "body {}", "1;", "1")
    assert not re.search(r"\b(?:src|href|action|srcset)=", re.sub(r'="[^"]*"', "=", re.sub(r">[^<]*<", "><", text)))
    policy = html.unescape(re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', text)[1])
    assert "default-src 'none'" in policy and "script-src 'sha256-" in policy
    assert len(re.findall(r"<script", text)) == 1


@pytest.mark.parametrize("size", [3 << 20])
def test_an_evaluation_that_is_too_large_is_left_out(folder, book, size):
    (folder.stage("evaluate").out / "evaluation.json").write_text(json.dumps({"x": "y" * size}))
    assert facts(PLAN, folder, status(PLAN, EVENTS, False), book, BEGAN).evaluations == {}


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("<script>", "&lt;script&gt;"),
        ("\"'&", "&#34;&#39;&amp;"),
        ("&lt;", "&amp;lt;"),
        ("a\x00b\x1b[1m\ud800", "a�b�[1m�"),
        ("tab\tline\n", "tab\tline\n"),
    ],
)
def test_any_text_of_a_run_is_escaped_wherever_it_is_shown(known, text, escaped):
    plan = replace(known.plan, run=text, stages=(replace(known.plan.stages[0], name=text, config={text: 1}),))
    hostile = replace(
        known,
        plan=plan,
        status=replace(known.status, error=text, warnings=(text,), state=text),
        evaluations={text: {text: {text: text}, "b": {"c": 1}}, "other": {text: [text]}},
        done={text: {"metrics": {text: text}}},
        manifest={"export": {text: {"bytes": 1, "sha256": text}}, "stages": {text: {"fingerprint": text}}},
        gpus=({**known.gpus[0], "name": text},),
        history={"train": {1: {text: 1.0}}},
    )
    body = page(hostile, "", "", "1")
    for part in (f'class="badge {escaped}"', f"<title>{escaped}: {escaped}</title>", f"<h3>{escaped}</h3>"):
        assert part in body
    for part in (f"<th>{escaped}</th><td>{escaped}</td>", f"<summary>{escaped}</summary>", f"<p>{escaped}</p>"):
        assert part in body
    for part in (f"<dt>{escaped}</dt><dd>{escaped}</dd>", f'<span class="name">{escaped}</span>'):
        assert part in body
    assert len(re.findall("<script", body)) == 1 and "\x1b" not in body
