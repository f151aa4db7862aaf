"""Values of secrets, searched for in everything that a launch, a run and a failure leave behind."""

import json
import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from launcher.backends.slurm import run_folder
from launcher.clouds.ledger import ledger
from launcher.config import secrets
from launcher.config.site import SiteFile
from launcher.images.docker_engine import ImageRequest, gather
from launcher.images.identity import PROGRAM
from launcher.runfolder import secrets as run_secrets
from launcher.transfer.ssh import Remote, _sockets
from tests.launcher.conftest import ROOT
from tests.support.patience import patience, until

KEYS = {
    "HF_TOKEN": "hf_CANARYhubCANARYhubCANARYhubCANARYhub",
    "WANDB_API_KEY": "0ca9a41c" * 5,
    "OPENAI_API_KEY": "sk-CANARY-judge",
    "AWS_ACCESS_KEY_ID": "AKIACANARYCANARYCANA",
    "AWS_SECRET_ACCESS_KEY": "CANARY+bucket/CANARY+bucket/CANARY+bucke",
}
"""By the names that recipes and buckets give them."""
PASSWORD, RUNPOD, LAMBDA, FILED = "ghp_CANARYregistry", "rpa_CANARYrunpod", "secret_lambda_CANARY.x", "CANARY-of-a-file"
CANARIES = [one.encode() for one in (*KEYS.values(), PASSWORD, RUNPOD, LAMBDA, FILED)]
NUMBERED = re.compile(rb"CANARY|0ca9a41c")


@pytest.fixture
def careless(toy, tmp_path):
    """A user with a value in every place where one can be, and a umask of 0."""
    home = Path(toy.env["HOME"])
    for name, text in {
        ".runpod/config.toml": f'[default]\napi_key = "{RUNPOD}"\n',
        ".lambda_cloud/lambda_keys": f"api_key = {LAMBDA}\n",
        ".netrc": f"machine api.wandb.ai login user password {KEYS['WANDB_API_KEY']}\n",
        "key": FILED,
    }.items():
        (home / name).parent.mkdir(exist_ok=True)
        (home / name).write_text(text)
    toy.env |= {**KEYS, "GHCR": PASSWORD, "XDG_STATE_HOME": str(tmp_path / "state")}
    site = {
        "local": {"python": sys.executable},
        "registry": "ghcr.io/acme",
        "registry_login": {"username": "me", "password": "env:GHCR"},
        "secrets": {"FILED": "file:~/key"},
    }
    (Path(toy.env["XDG_CONFIG_HOME"]) / "launcher/site.yaml").write_text(json.dumps(site))
    wanted = {**dict.fromkeys(KEYS, True), "FILED": True}
    toy.change_recipe("settings:\n  batch", f"secrets: {json.dumps(wanted)}\nsettings:\n  batch")
    before = os.umask(0)
    yield toy
    os.umask(before)


def leaks(*folders):
    """Files below the folders that hold a value, and names of files that are one."""
    found = []
    for folder in folders:
        for path in Path(folder).rglob("*"):
            data = path.read_bytes() if path.is_file() and not path.is_symlink() else b""
            if any(one in data or one in os.fsencode(path.name) for one in CANARIES):
                found.append(path)
    return found


def command_lines():
    """What `ps` shows of every process to everybody."""
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            yield place.read_bytes()
        except OSError:
            continue


def silent(done, code):
    assert done.returncode == code, done.stdout + done.stderr
    assert not NUMBERED.search((done.stdout + done.stderr).encode()), done.stdout + done.stderr


def test_a_run_leaves_no_value_anywhere_and_shows_none_while_it_lasts(careless, tmp_path):
    silent(careless.launcher("plan", "toy-tiny"), 0)
    silent(careless.launcher("plan", "toy-tiny", "--json"), 0)
    silent(careless.launcher("plan", "toy-tiny", "--shell"), 0)
    process = careless.start("launch", "toy-tiny", "--set", "sum.fault=hold@2")
    folder = careless.folder()
    until(lambda: folder.stage("sum").progress.exists() and '"step": 2' in folder.stage("sum").progress.read_text())
    lines = list(command_lines())
    assert [one for one in lines if b"recipes.toy.count" in one], "the stage runs"
    assert not [one for one in lines if NUMBERED.search(one)]
    stage = next(
        place.parent / "environ"
        for place in Path("/proc").glob("[0-9]*/cmdline")
        if b"recipes.toy.count" in place.read_bytes() and str(folder.path).encode() in place.read_bytes()
    )
    given = stage.read_bytes()
    assert all(value.encode() in given for value in (*KEYS.values(), FILED)), "the stage has what it names"
    assert stat.S_IMODE(stage.stat().st_mode) == 0o400
    careless.go("sum")
    out, errors = process.communicate(timeout=patience(careless.patience))
    silent(subprocess.CompletedProcess([], process.returncode, out, errors), 0)
    for words in (
        ("status",),
        ("status", "--json"),
        ("logs",),
        ("report",),
        ("compare", "toy-tiny", "toy-tiny"),
        ("doctor", "toy-tiny"),
    ):
        silent(careless.launcher(*words), 0)
    silent(careless.launcher("doctor"), 0)
    kept = [folder.plan, folder.events, folder.manifest, folder.node_log, careless.home().path / "report.html"]
    assert all(path.stat().st_size for path in kept)
    assert leaks(careless.root, tmp_path / "state") == []
    assert set(json.loads(folder.plan.read_text())["secrets"]) == {*KEYS, "FILED"}


def test_a_failure_of_a_stage_and_one_of_ours_show_none(careless, tmp_path):
    failed = careless.launcher("launch", "toy-tiny", "--set", "sum.fault=kill@2", "--run", "failed")
    silent(failed, 3)
    silent(careless.launcher("doctor", "failed"), 0)
    crash = (
        "import launcher.commands.launch as home\n"
        "def crash(run, backend, show):\n"
        "    values = home.values(run.plan, home.SiteFile(), home.os.environ)\n"
        "    raise RuntimeError(f'{values} {values!r}')\n"
        "home.follow = crash\n"
        "import sys; sys.argv = ['launcher', 'launch', 'toy-tiny', '--run', 'crashed']\n"
        "from launcher.cli import main; main()"
    )
    options = {"cwd": careless.root, "env": careless.env, "capture_output": True, "text": True}
    done = subprocess.run([sys.executable, "-c", crash], **options, timeout=patience(careless.patience))
    assert "RuntimeError: Values(" in done.stderr and "Traceback" in done.stderr
    silent(done, 1)
    node = (
        "import sys; from launcher.node import __main__ as node\n"
        "def crash(*_): raise RuntimeError('here')\n"
        "node.run = crash\n"
        f"sys.argv = ['node', {str(careless.folder('crashed').path)!r}]\n"
        "node.main()"
    )
    run_secrets.secrets_path("crashed").write_text(json.dumps(KEYS))
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", node], **options, timeout=patience(careless.patience)
    )
    assert "RuntimeError: here" in done.stderr and not run_secrets.secrets_path("crashed").exists()
    silent(done, 1)
    assert leaks(careless.root, tmp_path / "state") == []


def test_refused_launches_show_none(careless, tmp_path):
    home = Path(careless.env["HOME"])
    site = Path(careless.env["XDG_CONFIG_HOME"]) / "launcher/site.yaml"
    for text, said in {
        json.dumps(
            {"secrets": {"HF_TOKEN": KEYS["HF_TOKEN"]}}
        ): "error: site.yaml: `secrets.HF_TOKEN` is not a reference",
        json.dumps({"secrets": [KEYS["HF_TOKEN"]]}): "error: site.yaml: `secrets` is not a reference",
        json.dumps({"registry_login": {"username": "me", "password": PASSWORD}}): (
            "error: site.yaml: `registry_login.password` is not a reference"
        ),
        json.dumps({"bucket": {"url": f":s3,secret_access_key={KEYS['AWS_SECRET_ACCESS_KEY']}:b"}}): (
            "error: site.yaml: `bucket.url` holds a credential"
        ),
    }.items():
        site.write_text(text)
        done = careless.launcher("launch", "toy-tiny")
        silent(done, 2)
        assert done.stderr.startswith(said), done.stderr
    site.write_text(json.dumps({"secrets": {"FILED": f"file:{home}"}}))
    silent(careless.launcher("launch", "toy-tiny"), 2)
    assert leaks(careless.root, tmp_path / "state") == []


def test_a_registry_s_password_is_in_no_text_of_the_task(careless):
    site = SiteFile.model_validate(
        {"registry": "ghcr.io/a", "registry_login": {"username": "me", "password": "env:GHCR"}}
    )
    given = secrets.login(site, careless.env)
    assert given["SKYPILOT_DOCKER_PASSWORD"] == PASSWORD
    assert PASSWORD not in f"{given} {given!r} {site} {site!r} {site.model_dump_json()}"


def test_an_image_carries_no_file_that_is_hidden_and_none_from_beside_the_code(tmp_path):
    root = tmp_path / "project"
    for name in (*PROGRAM, "recipes/common", "recipes/gad", "images", "locks"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__", ".sbom"))
    shutil.copy(ROOT / "launcher/__init__.py", root / "launcher")
    for name in (".env", "site.yaml", "secrets.txt", "runs/x/log.txt", "recipes/gad/.env", "recipes/common/.netrc"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(KEYS["HF_TOKEN"])
    (root / "launcher/node/.git").mkdir()
    (root / "launcher/node/.git/config").write_text(PASSWORD)
    context = tmp_path / "context"
    gather(ImageRequest(root, "gad", "gad"), context)
    assert (context / "recipes/gad/recipe.yaml").exists() and leaks(context) == []
    ignored = [one for one in (ROOT / ".dockerignore").read_text().splitlines() if not one.startswith("#")]
    assert ignored[0] == "*" and all(one.startswith("!") for one in ignored[1:]), "nothing but what is named"


def test_what_holds_a_secret_or_opens_a_machine_is_the_user_s_alone_whatever_the_umask(careless, tmp_path, monkeypatch):
    book = ledger(careless.env)
    book.begin("toy", "runpod", tmp_path, 1.0)
    assert stat.S_IMODE(book.folder.stat().st_mode) == 0o700
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (tmp_path / f"launcher-ssh-{os.getuid()}").mkdir(mode=0o777)
    assert stat.S_IMODE(_sockets().stat().st_mode) == 0o700
    (tmp_path / "slurm").mkdir()
    planted = tmp_path / "slurm/secrets.sh"
    planted.touch(mode=0o666)
    script = run_folder.SECRETS.format(text="ZXhwb3J0IEE9Qgo=")
    subprocess.run(["bash", "-s", "--", str(tmp_path)], input=script, text=True, check=True)
    assert planted.read_text() == "export A=B\n" and stat.S_IMODE(planted.stat().st_mode) == 0o600


def test_secrets_left_in_a_machine_s_memory_go_into_a_file_that_was_not_there_before(tmp_path, monkeypatch, careless):
    """What `backends/sky.py` runs there, with a file and a link that somebody planted."""
    monkeypatch.setattr(run_secrets, "MEMORY", tmp_path)
    text = (ROOT / "launcher/backends/sky/backend.py").read_text()
    place, other = run_secrets.secrets_path("r"), tmp_path / "other"
    (leave,) = re.findall(r'leave = f"(.*)"', text)
    command = leave.replace("{secrets_path(plan.run)}", str(place))
    for plant in (lambda: place.touch(mode=0o666), lambda: place.symlink_to(other)):
        plant()
        subprocess.run(["sh", "-c", command], input=json.dumps(KEYS), text=True, check=True)
        assert stat.S_IMODE(place.lstat().st_mode) == 0o600 and not place.is_symlink() and not other.exists()
        place.unlink()


def test_a_folder_for_connections_that_is_somebody_else_s_or_a_link_is_refused(tmp_path, monkeypatch, refusal):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    place = tmp_path / f"launcher-ssh-{os.getuid()}"
    (tmp_path / "elsewhere").mkdir()
    place.symlink_to(tmp_path / "elsewhere")
    said = f"error: `{place}` belongs to somebody else\n\nhint: name another folder in TMPDIR"
    assert refusal(lambda: Remote("h").ssh) == said
