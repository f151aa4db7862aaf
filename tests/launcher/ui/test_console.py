import dataclasses

import pytest
from rich.console import Console

from launcher.preflight.finding import OK, REFUSED, WARNING, Finding
from launcher.runfolder.plan import Code, Image, Input, Machine, Model, Plan, Source, Stage
from launcher.ui import console

PLAN = Plan(
    "gad-7b",
    "gad-7b",
    (
        Stage("model", ("a",), config={"repo": "Qwen/Qwen2.5-7B-Instruct"}),
        Stage(
            "adversarial",
            ("a",),
            {"model": "model", "data": "model"},
            {"mode": "adversarial", "actor_lr": 1e-6},
            steps=4408,
        ),
    ),
    "adversarial",
    Code("0123456789abcdef"),
    packages={"verl": "0.9.1", "ray": "2.60.0"},
    models={"student": Model("Qwen/Qwen2.5-7B-Instruct", "main", "a" * 40)},
    sources={"trainer": Source("/there", "main", "b" * 40, "p")},
    inputs={"train": Input("/data/[red]:car:[/x]/train.parquet", "train.parquet", 1_234_567, "c" * 64, 282_367)},
    secrets={"HF_TOKEN": False},
    disk_bytes=1_100_000_000_000,
)


@pytest.fixture
def shown(capsys, monkeypatch):
    """The lines on a screen of 80 columns, without the blanks at their ends."""
    monkeypatch.setattr(console.out, "_width", 80)
    return lambda: [line.rstrip() for line in capsys.readouterr().out.splitlines()]


def test_a_plan_is_one_page_that_names_every_pin(shown):
    findings = [
        Finding("pins", OK, "4 pins", "not shown"),
        Finding("disk", WARNING, "little", "make room"),
        Finding("data", REFUSED, "no rows", "give some"),
        Finding("price", OK, "cheap", "", ("here  $1.00/h", "there $2.00/h")),
    ]
    console.show_plan(dataclasses.replace(PLAN, machine=Machine("runpod", ("H100:8", "B200:8"), 2)), findings)
    assert shown() == [
        "run gad-7b   recipe gad-7b   on runpod: 2 x H100:8 or B200:8",
        "stage        steps  uses output of  main settings",
        "model                               repo=Qwen/Qwen2.5-7B-Instruct",
        "adversarial  4,408  model model     mode=adversarial actor_lr=1e-06",
        "result    from stage adversarial",
        "disk      up to 1.1 TB on each node",
        "train     /data/[red]:car:[/x]/train.parquet: 282,367 rows, 1 MB, sha256 cccccccccccc",
        "student   Qwen/Qwen2.5-7B-Instruct @ aaaaaaaaaaaa",
        "trainer   /there main @ bbbbbbbbbbbb",
        "code      no git commit, recipe code hash 0123456789ab",
        "packages  verl 0.9.1, ray 2.60.0",
        "secrets   HF_TOKEN",
        "",
        "ok       pins: 4 pins",
        "warning  disk: little",
        "         hint: make room",
        "refused  data: no rows",
        "         hint: give some",
        "ok       price: cheap",
        "         here  $1.00/h",
        "         there $2.00/h",
    ]
    image = Image("launcher-gad:cuda-0123456789ab", "cuda", "l" * 64, "c" * 64)
    for overlay, says in ((False, ""), (True, ", with uncommitted code mounted over its own")):
        one = dataclasses.replace(PLAN, machine=Machine("docker"), image=dataclasses.replace(image, overlay=overlay))
        console.show_plan(one, [])
        lines = shown()
        assert lines[0] == "run gad-7b   recipe gad-7b   on docker: CPU"
        assert f"image     launcher-gad:cuda-0123456789ab{says}" in lines


def test_what_is_piped_has_no_colours_and_its_tables_fit_80_columns(toy):
    for command in (["launch", "toy-tiny", "--stages", "short"], ["status"], ["plan", "toy-tini"]):
        done = toy.launcher(*command)
        assert "\x1b" not in done.stdout + done.stderr
        for line in done.stdout.splitlines():
            assert len(line) <= 80 or str(toy.root) in line, line


def test_an_error_is_three_lines_on_standard_error(capsys):
    console.show_error("error: `[a]:car:` is wrong\n\nhint: write `b`")
    assert capsys.readouterr() == ("", "error: `[a]:car:` is wrong\n\nhint: write `b`\n")


def test_on_a_terminal_the_word_error_is_red(monkeypatch, capsys):
    monkeypatch.setattr(
        console, "err", Console(force_terminal=True, color_system="standard", stderr=True, soft_wrap=True)
    )
    console.show_error("error: a: b\n\nhint: c")
    assert capsys.readouterr().err == "\x1b[1;31merror:\x1b[0m a: b\n\nhint: c\n"


def test_a_log_is_printed_as_it_is(capsys):
    console.say_raw("[red]\x1b[1m 100%|███\r")
    assert capsys.readouterr().out == "[red]\x1b[1m 100%|███\r"
