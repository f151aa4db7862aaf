"""What `launcher doctor` says of this machine: each thing in a line, with what helps."""

import importlib.metadata
import shutil
import sys
from pathlib import Path

import pytest

from launcher.clouds.ledger import Ledger
from launcher.config.site import BucketSite, LocalSite, SiteFile
from launcher.diagnosis import installation
from launcher.diagnosis.installation import check_installation
from launcher.errors import LaunchError
from launcher.images.docker_engine import Card
from launcher.preflight.finding import Finding


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A user of whom nothing is known; `found` gives the findings by name."""
    (tmp_path / "recipes").mkdir()

    def absent():
        raise LaunchError("no Docker engine answers at `x`", "start Docker, or name its socket in DOCKER_HOST")

    monkeypatch.setattr(installation, "connect", absent)
    monkeypatch.setattr(installation, "cards", list)
    monkeypatch.setattr(installation, "ledger", lambda: Ledger(tmp_path / "ledger"))

    def found(site=None, **env):
        site = site or SiteFile(runs=tmp_path / "runs", local=LocalSite(python=sys.executable))
        return {one.check: one for one in check_installation(tmp_path, site, {"HOME": str(tmp_path), **env})}

    found.folder = tmp_path
    return found


def test_a_user_of_whom_nothing_is_known_is_told_what_helps(here):
    found = here()
    assert {name: one.level for name, one in found.items()} == {
        "python": "ok",
        "site.yaml": "ok",
        "environment": "ok",
        "docker": "warning",
        "gpus": found["gpus"].level,
        "skypilot": found["skypilot"].level,
        "runpod": "warning",
        "lambda": "warning",
        "other clouds": "unknown",
        "HF_TOKEN": "warning",
        "WANDB_API_KEY": "warning",
        "programs": found["programs"].level,
        "disk": found["disk"].level,
        "machines": "ok",
    }
    assert (
        found["site.yaml"].says == f"there is no {here.folder}/.config/launcher/site.yaml (optional): defaults are used"
    )
    assert found["docker"].hint.endswith("DOCKER_HOST; only `--cloud docker` and images need it")
    assert found["machines"].says == "no machine in the local ledger; providers were not asked"
    assert found["runpod"].says == "`~/.runpod/config.toml` does not exist"
    assert found["other clouds"] == Finding(
        "other clouds",
        "unknown",
        "not checked: access to other clouds that SkyPilot knows, which are experimental",
        "`sky check` checks it",
    )
    assert found["HF_TOKEN"].says == "not set: looked at env:HF_TOKEN, file:~/.cache/huggingface/token"
    assert found["HF_TOKEN"].hint == "`export HF_TOKEN=...`"


def test_a_secret_is_told_by_its_place_and_never_by_its_value(here):
    site = SiteFile(runs=here.folder, secrets={"OTHER": "env:ELSEWHERE"})
    found = here(site, HF_TOKEN="hf_secret", ELSEWHERE="hidden")
    assert (found["HF_TOKEN"].level, found["HF_TOKEN"].says) == ("ok", "env:HF_TOKEN")
    assert (found["OTHER"].level, found["OTHER"].says) == ("ok", "env:ELSEWHERE")
    assert "hf_secret" not in str(found) and "hidden" not in str(found)
    lacking = here(site)["OTHER"]
    assert lacking.says == "site.yaml: `secrets.OTHER` is `env:ELSEWHERE`, where there is nothing"


def test_an_environment_that_is_not_made_yet_says_how(here):
    found = here(SiteFile(runs=here.folder))["environment"]
    assert (found.level, found.hint.split(",")[0]) == ("warning", "run `make setup-cpu`")
    (here.folder / "recipes").rmdir()
    assert here(SiteFile(runs=here.folder))["recipes"] == Finding(
        "recipes", "warning", f"there are no recipes under {here.folder}", "run `launcher` in the project's folder"
    )


def test_a_cloud_s_key_file_is_enough(here):
    (here.folder / ".lambda_cloud").mkdir()
    (here.folder / ".lambda_cloud/lambda_keys").write_text("api_key = abc\n")
    assert here()["lambda"] == Finding("lambda", "ok", "~/.lambda_cloud/lambda_keys")


def test_a_driver_that_names_no_gpu_is_not_taken_for_none(here, monkeypatch):
    monkeypatch.setenv("PATH", str(here.folder))
    assert here()["gpus"] == Finding("gpus", "ok", "none here")
    (here.folder / "nvidia-smi").write_text("#!/bin/sh\nexit 9\n")
    (here.folder / "nvidia-smi").chmod(0o755)
    unknown = Finding("gpus", "unknown", "not checked: `nvidia-smi` names no GPU", "run it: it says why")
    assert here()["gpus"] == unknown


def test_an_engine_and_gpus_are_named(here, monkeypatch):
    class Client:
        def info(self):
            return {"ServerVersion": "28.1", "MemTotal": 64_000_000_000}

        def close(self):
            pass

    monkeypatch.setattr(installation, "connect", Client)
    monkeypatch.setattr(installation, "cards", lambda: [Card("NVIDIA RTX 4090", 24_000_000_000)] * 2)
    found = here()
    assert found["docker"].says == "engine 28.1, 64 GB of memory"
    assert found["gpus"].says == "2 x NVIDIA RTX 4090, 24 GB"


def test_an_engine_that_hangs_is_no_traceback(here, monkeypatch):
    class Client:
        def info(self):
            raise OSError("timed out")

        def close(self):
            pass

    monkeypatch.setattr(installation, "connect", Client)
    assert here()["docker"] == Finding("docker", "warning", "the engine does not answer: timed out", "restart Docker")


@pytest.mark.parametrize(
    ("installed", "level", "says"),
    [
        ("0.14.1", "ok", "0.14.1"),
        ("0.9.0", "warning", "0.9.0, this launcher is for 0.14.1"),
        (None, "warning", "not installed"),
    ],
)
def test_skypilot_s_version_is_compared_with_the_one_that_is_pinned(here, monkeypatch, installed, level, says):
    def version(name):
        if installed is None:
            raise importlib.metadata.PackageNotFoundError(name)
        return installed

    monkeypatch.setattr(importlib.metadata, "version", version)
    monkeypatch.setattr(
        importlib.metadata, "requires", lambda _: ['skypilot[lambda,runpod]==0.14.1; extra == "clouds"']
    )
    found = here()["skypilot"]
    assert (found.level, found.says) == (level, says)


def test_programs_that_are_not_here_are_named(here, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None if name in ("rsync", "rclone") else f"/bin/{name}")
    assert here()["programs"] == Finding("programs", "warning", "not installed: rsync", "`apt install rsync`")
    site = SiteFile(runs=here.folder, bucket=BucketSite(url="s3://a/b"))
    assert here(site)["programs"].says == "not installed: rsync, rclone"


def test_little_room_and_a_place_that_cannot_be_written_to(here, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: type("Usage", (), {"free": 5 * 10**9}))
    found = here()["disk"]
    assert (found.level, found.says) == ("warning", f"5 GB free under {here.folder}")
    monkeypatch.setattr(installation.os, "access", lambda *_: False)
    found = here()["disk"]
    assert (found.level, found.says) == ("refused", f"{here.folder} cannot be written to")


def test_machines_that_may_cost_money_are_named(here):
    Ledger(here.folder / "ledger").begin("gad-7b", "runpod", Path("x"), 0.0)
    assert here()["machines"] == Finding(
        "machines", "warning", "1 may cost money: `gad-7b`", "`launcher runs` shows them"
    )
