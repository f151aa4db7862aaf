"""The two stages that speak with the hub, which is a server on this machine: may it be read; the export goes there."""

import json
import os
import subprocess
import sys
import threading

import pytest

from .conftest import ROOT
from .hub import COMMIT, server

TOKEN = "hf_" + "a1" * 17


@pytest.fixture
def hub():
    with server() as made:
        threading.Thread(target=made.serve_forever, daemon=True).start()
        yield made
        made.shutdown()


@pytest.fixture
def ask(hub, tmp_path):
    def ask(module, *words, token=TOKEN):
        env = {**os.environ, "PYTHONPATH": str(ROOT), "HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "home")}
        env |= {"HF_TOKEN": token, "HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
        for name in ("HF_HUB_OFFLINE", *(["HF_TOKEN"] if not token else [])):
            env.pop(name, None)
        argv = [sys.executable, "-m", f"recipes.synthetic_instruct.{module}", *map(str, words)]
        return subprocess.run(argv, cwd=ROOT, env=env, capture_output=True, text=True)

    return ask


@pytest.fixture
def configs(tmp_path):
    def configs(*repos):
        for place, repo in enumerate(repos):
            (tmp_path / f"{place}.json").write_text(json.dumps({"repo": repo, "revision": COMMIT, "lesson_steps": 0}))
        return [tmp_path / f"{place}.json" for place in range(len(repos))]

    return configs


def test_models_that_may_be_read_are_counted(ask, configs):
    done = ask("preflight.access", *configs("owner/open", "tiny", "owner/open"))
    assert (done.returncode, done.stdout) == (0, "1 models of the hub can be read\n"), done.stderr
    assert ask("preflight.access", *configs("tiny")).stdout == "no model of the hub is needed\n"


@pytest.mark.parametrize(
    ("token", "says"),
    [
        (TOKEN, "error: `owner/gated` is gated and HF_TOKEN's account has no access\n\nhint: ask for access at {}\n"),
        (
            "",
            "error: `owner/gated` is gated and HF_TOKEN is not set\n\n"
            "hint: accept its terms at {} and set HF_TOKEN to a read token\n",
        ),
    ],
)
def test_a_gated_model_is_refused_before_anything_is_paid(ask, configs, hub, token, says):
    done = ask("preflight.access", *configs("owner/open", "owner/gated"), token=token)
    assert done.returncode == 2
    assert done.stderr.endswith(says.format(f"{hub.url}/owner/gated"))


@pytest.fixture
def export(tmp_path):
    folder = tmp_path / "export"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "README.md").write_text("# a model\n")
    (tmp_path / "push.json").write_text(json.dumps({"hub_repo": "owner/mine", "hub_private": True}))
    return [tmp_path / "push.json", "--model", folder, "--out", tmp_path / "out"]


def test_the_export_goes_to_the_user_s_repository_with_the_user_s_token(ask, hub, export, tmp_path):
    done = ask("push", *export)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == f"owner/mine@{COMMIT}"
    assert json.loads((tmp_path / "out/metrics.json").read_text()) == {"repo": "owner/mine", "commit": COMMIT}
    [(_, _, made)] = [one for one in hub.asked if one[1] == "/api/repos/create"]
    assert json.loads(made)["visibility"] == "private"
    [(_, _, sent)] = [one for one in hub.asked if "/commit/main" in one[1]]
    lines = [json.loads(line) for line in sent.splitlines()]
    assert {line["value"]["path"] for line in lines if line["key"] == "file"} == {"README.md", "config.json"}
    assert hub.tokens == {f"Bearer {TOKEN}"}
    assert TOKEN not in done.stdout + done.stderr


def test_without_a_token_nothing_is_asked(ask, hub, export):
    done = ask("push", *export, token="")
    assert done.returncode == 2 and hub.asked == []
    assert done.stderr == ("error: HF_TOKEN is not set\n\nhint: set it to a token that may write to your account\n")
