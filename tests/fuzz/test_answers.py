"""What others answer: providers, their price lists, hubs, schedulers, drivers."""

import csv
import io
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launcher.backends.slurm import groups, queue, workspace
from launcher.backends.slurm.groups import charge
from launcher.backends.slurm.queue import answer as queue_answer
from launcher.clouds import providers
from launcher.clouds.catalog import read_catalogs
from launcher.clouds.ledger import Ledger
from launcher.clouds.machines import alive
from launcher.clouds.offers import nearest, offers, old_prices
from launcher.clouds.skypilot import Lines, Tried, no_capacity
from launcher.config.job import Job
from launcher.config.slurm import Needs
from launcher.diagnosis.installation import parse_cluster, slurm_section
from launcher.node.process import gpu_usage
from launcher.preflight import slurm as queue_check
from launcher.preflight.access import Answer, ask
from launcher.runfolder import rclone
from launcher.runfolder.plan import Code, Plan, Stage

from .hostile import NAMES, as_json, damaged, mutated, odd, spliced, trials, written
from .outcome import said

HEAD = ("InstanceType", "AcceleratorName", "AcceleratorCount", "vCPUs", "MemoryGiB", "Price", "SpotPrice", "Region")
ROWS = [
    ("1x_H100-SXM", "H100-SXM", "8.0", "128.0", "1000.0", "21.6", "10.0", "US"),
    ("cpu", "", "", "4.0", "8.0", "0.12", "", "RO"),
]


def job(path, *accelerators):
    return Job(path, accelerators, 1, None, None)


@st.composite
def listing(draw):
    """A price list's bytes, or nearly."""
    table = draw(st.just([HEAD, *ROWS]) | mutated([list(HEAD), *map(list, ROWS)]))
    if not isinstance(table, list):
        return written(str(table))
    text = io.StringIO()
    for row in table:
        cells = row if isinstance(row, list | tuple) else [row]
        csv.writer(text, lineterminator="\n").writerow(cells)
    raw = text.getvalue()
    return draw(st.just(written(raw)) | damaged(written(raw)) | spliced(raw).map(written))


@trials(80)
@given(data=listing())
def test_a_price_list_is_read_or_left_out(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("catalogs")
    (folder / "runpod").mkdir()
    (folder / "runpod/vms.csv").write_bytes(data)
    (folder / "lambda/vms.csv").mkdir(parents=True)
    found = read_catalogs(("runpod", "lambda", "aws"), folder, 0.0)
    for wanted in ((), ("H100-SXM:8",)):
        for offer in offers(job(folder, *wanted), ("runpod", "lambda"), found):
            assert 0 < offer.price_per_hour < float("inf")
        nearest(job(folder, *wanted), ("runpod", "lambda"), found)
    old_prices(("runpod",), found)


INSTANCES = {
    "runpod": {"abc": {"name": "toy-1234-head", "status": "RUNNING", "port2endpoint": {}}},
    "lambda": [{"id": "abc", "name": "toy-1234-head", "status": "active"}, {"id": "d", "status": "terminated"}],
}


@trials(50)
@given(cloud=st.sampled_from(("runpod", "lambda")), data=st.data())
def test_what_a_provider_lists_is_understood_or_it_counts_as_silent(monkeypatch, tmp_path, cloud, data):
    answer = data.draw(mutated(INSTANCES[cloud]))

    class Client:
        def list_instances(self):
            return answer

    monkeypatch.setattr(providers, f"_{cloud}", Client)
    monkeypatch.setattr(providers, "_name", lambda cloud, run: f"{run}-1234")
    monkeypatch.setattr("launcher.clouds.skypilot.state", lambda *_, **__: None)

    def look():
        providers.of_run(providers.account_machines(cloud), cloud, "toy")

    refused = said(look)
    assert refused is None or f"error: {cloud} does not say which machines are alive: " in refused
    book = Ledger(tmp_path / "book")
    book.begin("toy", cloud, tmp_path, 1.0)
    for _, says in alive(book):  # a machine that cannot be ruled out is shown
        assert says
    if refused:
        assert book.alive("toy")


SLURM = """\
job toy.1-sum.abc 12
job toy.2-again.abc 13
trouble slurm_load_jobs error: Unable to contact slurm controller
state 12 COMPLETED|None|2026-11-21T10:00:00
state 13 PENDING|Dependency|N/A
state 13 CANCELLED+|x
end toy.1-sum.abc 0
end toy.2-again.abc 33 budget
manifest
"""
JOBS = ("toy.1-sum.abc", "toy.2-again.abc")


@trials(80)
@given(text=spliced(SLURM) | st.lists(st.sampled_from(SLURM.splitlines()), max_size=9).map("\n".join))
def test_a_scheduler_s_words_about_jobs_are_an_answer(text):
    found = queue_answer(JOBS, text)
    assert [job.name for job in found.jobs] == list(JOBS)
    queue.end(found), queue.waits_for(found), queue.says_dropped(found)
    assert found.goes_on in (True, False)


DOCTOR = """\
partition gpu|2-00:00:00|12|96|1000000|gpu:h100:4|up
account proj|normal
python python3.11 3.11
command sbatch
workspace id: mine
"""
WORKSPACES = """\
id: mine
     workspace directory  : /work/mine
     remaining time       : 9 days 3 hours
     available extensions : 3
"""
QUEUE = "sbatch: Job 1 to start at 2026-11-21T10:00:00 using 96 processors on nodes n[1-2] in partition gpu\n4\n"
WEIGHTS = "TRESBillingWeights=CPU=1.0,Mem=0.25G,GRES/gpu=10,GRES/gpu:h100=20"


@trials(80)
@given(text=spliced(DOCTOR), works=spliced(WORKSPACES), waits=spliced(QUEUE), worth=spliced(WEIGHTS))
def test_what_a_cluster_says_of_itself_is_understood_or_passed_over(text, works, waits, worth):
    assert slurm_section(parse_cluster(text), "host").startswith("slurm:\n")
    for entry in workspace.read(works):
        assert entry.says
    queue_check.finding(["1-sum"], waits)
    charge(worth, groups.Group(1, ("sum",), Needs(gres="gpu:h100:4", time="2:00:00"), 60), 2)


@trials(50)
@given(text=spliced("NVIDIA H100 80GB HBM3, 81559, 70000, 97\nNVIDIA H100, 81559, [N/A], 3\n"))
def test_a_driver_s_words_are_numbers_or_nothing(text):
    found = gpu_usage(text)
    assert found is None or all(type(number) is int for number in (*found["used"], *found["busy"], found["total"]))


@trials(50)
@given(text=spliced('ERROR : a: Failed to copy: operation error S3: PutObject, caused by: "x": NoSuchBucket\n'))
def test_rclone_s_last_words_are_a_sentence(text):
    problem = rclone.failure(text)
    assert problem.says and problem.hint


@trials(50)
@given(text=spliced("⚙︎ Launching on RunPod US (CA-MTL-1).\nrun_instances error: no capacity\r\n\x1b[31mx\n"))
def test_skypilot_s_lines_are_heard(text):
    tried = Tried()
    stream = Lines(lambda line: tried.read(line))
    stream.write(text)
    assert no_capacity(Exception(text), tried.reasons).error.startswith("no machine is to be had: ")


class Service:
    """A hub that answers whatever it is told to."""

    def __init__(self):
        outer = self
        self.raw, self.heads = b"", []

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                outer.heads.append(dict(self.headers))
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                self.wfile.write(outer.raw)
                self.close_connection = True

            do_POST = do_GET

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.host = f"127.0.0.1:{self.server.server_port}"

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture(scope="module")
def service():
    with Service() as found:
        yield found


def http(code, body, *head):
    lines = [f"HTTP/1.0 {code} x", f"Content-Length: {len(body)}", *head]
    return "\r\n".join(lines).encode(errors="replace") + b"\r\n\r\n" + body


USER = {"name": "me", "data": {"viewer": {"username": "me"}}}


@st.composite
def replies(draw):
    """An answer's bytes, from a good one to noise."""
    body = draw(mutated(USER).map(as_json) | spliced(as_json(USER)) | st.just("[" * 200_000))
    whole = http(draw(st.sampled_from((200, 204, 401, 403, 418, 500, 999))), written(body))
    return draw(st.just(whole) | damaged(whole[:400]) | st.binary(max_size=40))


@trials(40)
@given(raw=replies(), name=st.sampled_from(("HF_TOKEN", "WANDB_API_KEY")))
def test_a_service_s_answer_says_yes_no_or_nothing(service, raw, name):
    service.raw = raw
    env = {"HF_ENDPOINT": f"http://{service.host}", "WANDB_BASE_URL": f"http://{service.host}"}
    assert ask(name, "key", env, 2.0).valid in (True, False, None)


@trials(40)
@given(address=st.sampled_from((*NAMES, "http://", "http://[", "ftp://a", "file:///etc/passwd", "http://a b")), key=odd)
def test_an_odd_address_or_key_is_no_answer(address, key):
    for name in ("HF_TOKEN", "WANDB_API_KEY"):
        found = ask(name, str(key), {"HF_ENDPOINT": address or "x", "WANDB_BASE_URL": address or "x"}, 0.01)
        assert found.valid is None


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("name", ["HF_TOKEN", "WANDB_API_KEY"])
def test_a_key_goes_to_the_service_s_host_and_not_to_where_an_answer_points(service, code, name):
    with Service() as other:
        other.raw = http(200, as_json(USER).encode())
        service.raw = http(code, b"", f"Location: http://{other.host}/api")
        env = {"HF_ENDPOINT": f"http://{service.host}", "WANDB_BASE_URL": f"http://{service.host}"}
        assert ask(name, "key", env) == Answer(service.host, None)
        assert other.heads == []


def test_the_plan_of_a_run_has_these_jobs():
    plan = Plan("toy", "toy-tiny", (Stage("sum", ("a",)), Stage("again", ("a",))), "again", Code(""))
    assert [stage.name for stage in plan.stages] == [queue.stage_of(job) for job in JOBS]
    assert json.loads(as_json(USER)) == USER
