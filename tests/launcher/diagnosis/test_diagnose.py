"""What is said of a run that ended without its result."""

import json
import os

import pytest

from launcher.clouds.ledger import Ledger, Reason
from launcher.diagnosis.diagnose import diagnose
from launcher.diagnosis.evidence import logs
from launcher.diagnosis.rules import rules
from launcher.runfolder.paths import RunFolder
from launcher.runfolder.plan import Code, Input, Machine, Plan, Stage
from launcher.runfolder.status import status

SETTINGS = {"tokens_per_gpu": 12288, "gpu_memory_utilization": 0.7, "param_offload": False, "optimizer_offload": False}
PLAN = Plan(
    "gad-7b",
    "gad-7b",
    (Stage("model", ("a",)), Stage("adversarial", ("a",), config=SETTINGS, steps=4408)),
    "adversarial",
    Code("t"),
    machine=Machine("runpod", ("H100:8",)),
    inputs={"train": Input("/data/my rows.parquet", "train.parquet", 1, "c" * 64, 1)},
)
OOM = "(WorkerDict pid=1) torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 6.95 GiB.\n"
FAILED = "stage `adversarial` ended with exit code 1"


@pytest.fixture
def run(tmp_path):
    """A failed run: `said` of its stage's log, and other facts of its end."""

    def make(said="", logged=0, node_logged=0, plan=PLAN, typed=None, running=False, **end):
        folder = RunFolder(tmp_path)
        log = folder.stage("adversarial").log
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_bytes(said if isinstance(said, bytes) else said.encode())
        events = [
            {"time": 1, "event": "run.started", "logged": node_logged},
            {"time": 1, "event": "stage.finished", "stage": "model"},
            {"time": 2, "event": "stage.started", "stage": "adversarial", "attempt": 1, "logged": logged},
        ]
        if end is not None and "lost" not in end:
            ended = {"code": 3, "error": FAILED, "hint": f"read {log}; and so on", **end}
            events.append({"time": 3, "event": "stage.failed", "stage": "adversarial"})
            events.append({"time": 3, "event": "run.ended", **ended})
        folder.events.write_text("".join(json.dumps(one) + "\n" for one in events))
        found = list(logs(folder, "adversarial", Ledger(tmp_path / "ledger")))
        return diagnose(plan, status(plan, events, running), found, rules(), typed)

    return make


def test_the_cause_its_line_and_the_setting_that_helps(run, tmp_path):
    found = run("step 1\nstep 2\n" + OOM)
    assert (found.cause, found.known, found.also) == ("the GPU ran out of memory", True, ())
    assert found.evidence.location == f"{tmp_path}/stages/adversarial/log.txt:3"
    assert found.evidence.text == OOM.strip()
    assert found.help == (
        "`tokens_per_gpu` from 12288 to 6144: smaller batches, or states on the CPU, give the same result and take "
        "longer. The stage starts again"
    )
    assert found.command == (
        "launcher launch gad-7b --cloud runpod --data 'train=/data/my rows.parquet' "
        "--set adversarial.tokens_per_gpu=6144 --redo adversarial"
    )


def test_the_command_that_was_typed_is_the_one_to_give_again(run):
    typed = "launcher launch gad-7b --cloud runpod,lambda --data mine.parquet --set rollout_n=4"
    assert run(OOM, typed=typed).command == f"{typed} --set adversarial.tokens_per_gpu=6144 --redo adversarial"


@pytest.mark.parametrize(
    ("settings", "proposed"),
    [
        ({"tokens_per_gpu": 512, "optimizer_offload": False}, "--set adversarial.optimizer_offload=true"),
        ({"tokens_per_gpu": None, "param_offload": False, "optimizer_offload": True}, "param_offload=true"),
        ({"gpu_memory_utilization": 0.7}, "--set adversarial.gpu_memory_utilization=0.6 --redo"),
        ({"batch": 12, "accumulate": 2}, "--set adversarial.batch=6 --set adversarial.accumulate=4 --redo adversarial"),
        ({"batch": 2}, "--set adversarial.batch=1 --redo adversarial"),
    ],
)
def test_the_first_setting_that_the_stage_has_and_that_can_be_turned_is_proposed(run, settings, proposed):
    stage = Stage("adversarial", ("a",), config=settings, steps=9)
    plan = Plan("r", "gad-7b", (Stage("model", ("a",)), stage), "adversarial", Code("t"))
    assert proposed in run(OOM, plan=plan).command


def test_where_nothing_can_be_turned_the_launch_is_given_again(run):
    stage = Stage("adversarial", ("a",), config={"tokens_per_gpu": 300}, steps=9)
    plan = Plan("r", "gad-7b", (Stage("model", ("a",)), stage), "adversarial", Code("t"))
    found = run(OOM, plan=plan)
    assert found.command == "launcher launch gad-7b --run r"
    assert found.help.startswith("smaller batches")


def test_what_causes_is_told_before_what_it_causes(run):
    late = "[Rank 5] Watchdog caught collective operation timeout: WorkNCCL(SeqNum=1)\n"
    found = run(late + OOM)
    assert found.cause == "the GPU ran out of memory"
    ((cause, line),) = found.also
    assert (cause, line.number) == ("GPUs waited for each other until the NCCL timeout", 1)


def test_what_an_earlier_attempt_said_does_not_count(run):
    before = "x" * 100 + "\n" + OOM
    found = run(before + "ValueError: something else\n", logged=len(before))
    assert (found.cause, found.known) == ("unknown", False)
    assert (found.evidence.text, found.evidence.number) == ("ValueError: something else", 3)


def test_a_log_that_was_written_anew_is_read_from_its_start(run):
    assert run(OOM, logged=10**6).cause == "the GPU ran out of memory"


def test_only_the_end_of_a_long_log_is_read_and_its_lines_are_counted(run):
    line = b"a line of training output, as long as most of them are, 0123456789\n"
    many = (8 << 20) // len(line)
    assert run(OOM.encode() + line * many + b"KeyboardInterrupt\n").cause == "unknown"
    found = run(line * many + OOM.encode())
    assert (found.cause, found.evidence.number) == ("the GPU ran out of memory", many + 1)


def test_what_the_log_says_is_filled_in(run):
    found = run("error: `acme/model` is gated and HF_TOKEN is not set\n\nhint: set it\n")
    assert found.cause == "the model acme/model is gated, and the token may not read it"
    assert "https://huggingface.co/acme/model" in found.help
    assert found.command == "launcher launch --resume gad-7b --cloud runpod"
    assert run("KeyError: 'prompt'\n").command == "launcher plan gad-7b --data train=FILE"
    assert run("x was written by 8 training processes, this stage has 4").help.endswith("with `--redo adversarial`")


def test_colours_and_progress_signs_are_not_shown(run):
    said = "\r 10%|█   |\r 20%|██  |\x1b[36m(WorkerDict pid=1)\x1b[0m torch.OutOfMemoryError: CUDA out of memory.\n"
    assert run(said).evidence.text == "20%|██  |(WorkerDict pid=1) torch.OutOfMemoryError: CUDA out of memory."


def test_a_long_line_is_cut(run):
    assert len(run("torch.OutOfMemoryError: CUDA out of memory." + "x" * 9999).evidence.text) == 240


@pytest.mark.parametrize(
    ("said", "line", "number"),
    [
        ("Traceback (most recent call last):\n  x\nRuntimeError: odd\nhalted\n", "RuntimeError: odd", 3),
        ("ValueError: one\nfoo.bar.OddException: two\n", "foo.bar.OddException: two", 2),
        ("\x1b[36m(WorkerDict pid=7)\x1b[0m TypeError: a\n", "(WorkerDict pid=7) TypeError: a", 1),
        ("[rank3]: AssertionError\n", "[rank3]: AssertionError", 1),
        ("one\nthe last line\n\n", "the last line", 2),
    ],
)
def test_of_an_unknown_failure_the_last_exception_is_shown(run, said, line, number):
    found = run(said)
    assert (found.cause, found.known, found.evidence.text, found.evidence.number) == ("unknown", False, line, number)
    assert found.help == "the cause is not known. Read the lines before this one in the log"
    assert found.command == "launcher launch --resume gad-7b --cloud runpod"


def test_an_unknown_failure_without_a_log_says_so(run):
    found = run("")
    assert (found.cause, found.known, found.evidence) == ("unknown", False, None)
    assert found.help == "its logs are empty"


def test_a_sentence_with_a_hint_is_a_cause_of_its_own(run):
    found = run("", error="stage `adversarial`: the fault was asked for", hint="do not ask for it", code=2)
    assert (found.cause, found.help) == ("stage `adversarial`: the fault was asked for", "do not ask for it")
    assert found.command.startswith("launcher launch gad-7b")


def test_a_run_that_vanished_says_so(run):
    found = run("", lost=True)
    assert found.cause == "the node program ended and reported nothing: it was killed, or its machine was terminated"
    assert found.command == "launcher launch --resume gad-7b --cloud runpod"


def test_why_a_run_was_stopped_is_in_its_events(run, tmp_path):
    found = run("", reason="budget", code=33)
    assert found.cause == "the budget of the launch is spent"
    assert found.evidence.location == f"{tmp_path}/events.jsonl:5"
    assert found.command == "launcher launch --resume gad-7b --cloud runpod --max-cost DOLLARS"


def test_a_machine_that_vanished_is_in_the_ledger(run, tmp_path):
    book = Ledger(tmp_path / "ledger")
    for asked, reason in ((1.0, Reason.BY_HAND), (2.0, Reason.VANISHED)):
        book.close(book.begin(tmp_path.name, "runpod", tmp_path, asked), reason)
    found = run("", lost=True)
    assert found.cause == "the provider or the cluster ended the machine"
    assert found.evidence.location.endswith("-2.000.json:5")


@pytest.mark.parametrize("reason", sorted(text for name, text in vars(Reason).items() if name.isupper()))
def test_only_what_ended_by_itself_was_ended_by_the_provider(run, tmp_path, reason):
    book = Ledger(tmp_path / "ledger")
    book.close(book.begin(tmp_path.name, "runpod", tmp_path, 1.0), reason)
    by_provider = run("", lost=True).cause == "the provider or the cluster ended the machine"
    assert by_provider == (reason in (Reason.VANISHED, Reason.ENDED_BEFORE))


def test_a_machine_that_never_came_is_explained_by_the_launch(run, tmp_path):
    (tmp_path / "launch.log").write_text("no such thing\nsky.exceptions.ResourcesUnavailableError: x\n")
    assert run("", lost=True).cause == "the cloud had no free machine of this kind"
    os.utime(tmp_path / "launch.log", (1, 1))  # something happened on the machine since
    assert run("", lost=True).cause.startswith("the node program ended and reported nothing")


def test_what_the_node_program_said_before_it_was_started_again_does_not_count(run, tmp_path):
    (tmp_path / "node.log").write_text("x" * 50 + "EADDRINUSE\n")
    assert run("").cause == "another process uses a port that the trainer needs, often a process of an earlier run"
    assert run("", node_logged=61).cause == "unknown"


def test_of_several_jobs_the_last_one_s_output_counts(run, tmp_path):
    (tmp_path / "slurm").mkdir()
    for number, says in enumerate(["DUE TO TIME LIMIT", "all is well"]):
        (tmp_path / f"slurm/{number}.out").write_text(says)
        os.utime(tmp_path / f"slurm/{number}.out", (number, number))
    assert run("", lost=True).cause.startswith("the node program ended and reported nothing")
    os.utime(tmp_path / "slurm/0.out", (9, 9))
    assert run("", lost=True).cause == "the cluster's time limit ended the job"


def test_a_user_s_mistake_is_the_cause_whatever_was_got_over_before(run):
    said = "httpx.ConnectError: Temporary failure in name resolution\nerror: `ranks` is odd\n\nhint: make it even\n"
    mistake = {"error": "stage `adversarial`: `ranks` is odd", "hint": "make it even", "code": 2}
    assert run(said, **mistake).cause == "stage `adversarial`: `ranks` is odd"
    known = run(said + "error: no column `prompt`\n\nhint: x\n", **mistake)
    assert (known.cause, known.evidence.number) == ("the data has no column `prompt`", 5)
    assert run(said, code=3, error="x", hint="y").cause == "a host on the network could not be found or reached"
