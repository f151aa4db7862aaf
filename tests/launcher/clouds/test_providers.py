"""The table of providers: every row says everything, and a new row is all that a cloud needs."""

import dataclasses
import importlib
from dataclasses import replace
from pathlib import Path

import pytest

from launcher.backends.select import backend_of
from launcher.backends.sky.backend import Sky
from launcher.clouds import accelerators, providers
from launcher.clouds.catalog import Catalog, Kind
from launcher.clouds.ledger import Ledger
from launcher.clouds.machines import alive, down
from launcher.clouds.offers import joining_faults, missing_prices, offers
from launcher.clouds.providers import PROVIDERS, Provider, clouds_of
from launcher.config.job import Job
from launcher.config.site import SiteFile
from launcher.diagnosis import installation
from launcher.errors import LaunchError
from launcher.preflight.access import credentials as check
from launcher.preflight.cost import features as offered
from launcher.preflight.finding import OK, REFUSED

MAY_BE_NONE = {"no_spot", "no_mount", "no_joining", "no_disk", "least"}
JOB = Job(Path("jobs/a.yaml"), ("H100-SXM:8",), 2, None, None)
MACHINES = {}
MOON = Provider(
    name="moon",
    title="Moon",
    key_file=".moon/key",
    key_line="KEY",
    key_fault=lambda text: None if text else "is empty",
    key_page="moon.example/keys",
    console="https://moon.example",
    no_spot="Moon has no spot machines",
    no_mount="Moon mounts no bucket",
    no_joining="Moon joins no machines",
    no_disk="Moon's disks are of cheese",
    least=("8+", "16+"),
    gpus={"H100-SXM": "H100-MOON"},
    machines=lambda: dict(MACHINES),
    terminate=lambda id: MACHINES.pop(id),
    unknown=("its prices by night",),
)


@pytest.mark.parametrize("row", PROVIDERS, ids=lambda row: row.name)
def test_a_row_says_everything(row):
    assert not [one for one in dataclasses.fields(Provider) if one.default is not dataclasses.MISSING]
    for one in dataclasses.fields(Provider):
        value = getattr(row, one.name)
        assert value or (value is None and one.name in MAY_BE_NONE), one.name
    assert set(row.gpus) <= {card.name for card in accelerators.CARDS}
    assert row.console.startswith("https://") and not Path(row.key_file).is_absolute()


def test_no_provider_has_another_s_name():
    assert len({row.name for row in PROVIDERS}) == len({row.title for row in PROVIDERS}) == len(PROVIDERS)


@pytest.fixture
def moon(monkeypatch):
    monkeypatch.setattr(providers, "PROVIDERS", (*PROVIDERS, MOON))
    monkeypatch.setattr(providers, "_name", lambda cloud, run: f"{run}-1")


def test_without_its_row_a_cloud_is_not_known():
    with pytest.raises(LaunchError):
        clouds_of("moon")


def test_a_row_is_all_that_a_plan_needs(moon, tmp_path):
    assert clouds_of("runpod,moon") == ("runpod", "moon")
    assert isinstance(backend_of("moon", tmp_path, SiteFile()), Sky)
    catalog = Catalog("moon", (Kind("big", "H100-MOON", 8, 8, 64, 9.0, ("mare",)),))
    alone = replace(JOB, nodes=1)
    assert [one.instance_type for one in offers(alone, ["moon"], {"moon": catalog})] == ["big"]
    assert joining_faults(JOB, ["moon"]) == {"moon": "Moon joins no machines, and the job wants 2"}
    assert missing_prices(["moon"], {}) == {
        "moon": "SkyPilot has not fetched Moon's prices yet: `sky gpus list --infra moon` does"
    }
    assert offered({"resources": {"use_spot": True}}, "a.yaml", ["moon"]).level == REFUSED
    mounts = {"file_mounts": {"/data": {"source": "s3://acme/data"}}}
    assert offered(mounts, "a.yaml", ["moon"]).says == "Moon mounts no bucket; jobs/a.yaml mounts `/data`"


def test_a_row_is_all_that_a_key_s_check_and_doctor_need(moon, tmp_path):
    assert check(["moon"], tmp_path).says == "`~/.moon/key` does not exist"
    assert "moon" in [one.check for one in installation._clouds({"HOME": str(tmp_path)})]
    (tmp_path / ".moon").mkdir()
    (tmp_path / ".moon/key").write_text("abc")
    assert (check(["moon"], tmp_path).level, check(["moon"], tmp_path).says) == (OK, "~/.moon/key")


def test_a_row_is_all_that_the_end_of_a_machine_needs(moon, monkeypatch, tmp_path):
    monkeypatch.setattr("launcher.clouds.skypilot.state", lambda *_, **__: None)
    monkeypatch.setattr("launcher.clouds.skypilot.down", lambda *_: None)
    MACHINES.update({"7": "toy-1-head", "8": "other-1-head"})
    book = Ledger(tmp_path / "book")
    book.begin("toy", "moon", tmp_path, 1.0)
    assert [says for _, says in alive(book)] == ["not known to SkyPilot; at the provider's: moon 7"]
    down(book, "toy", "ended by hand")
    assert MACHINES == {"8": "other-1-head"} and not book.alive()


def test_a_provider_that_does_not_terminate_a_machine_is_a_sentence_and_it_stays_in_the_ledger(
    moon, monkeypatch, tmp_path, refusal
):
    def refuse(id):
        raise RuntimeError("try again\n  later")

    monkeypatch.setattr("launcher.clouds.skypilot.down", lambda *_: None)
    monkeypatch.setattr(providers, "PROVIDERS", (replace(MOON, terminate=refuse),))
    monkeypatch.setitem(MACHINES, "7", "toy-1-head")
    book = Ledger(tmp_path / "book")
    book.begin("toy", "moon", tmp_path, 1.0)
    assert refusal(down, book, "toy", "ended by hand", code=3) == (
        "error: Moon did not terminate machine `7`: try again later\n\n"
        "hint: it may still cost money: terminate it at https://moon.example"
    )
    assert len(book.alive("toy")) == 1


def test_a_row_is_on_the_reference_page(moon, monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[3] / "docs/reference")
    page = importlib.import_module("clouds").text()
    assert "`moon`" in page and "## Moon\n" in page and "| not known | its prices by night |" in page


def test_a_cloud_that_only_skypilot_knows_is_experimental(tmp_path, refusal):
    assert clouds_of("runpod,aws") == ("runpod", "aws")
    assert providers.experimental(["runpod", "aws", "slurm", "kubernetes"]) == ["aws", "kubernetes"]
    assert isinstance(backend_of("kubernetes", tmp_path, SiteFile()), Sky)
    assert refusal(clouds_of, "nowhere") == (
        "error: unknown cloud `nowhere`\n\nhint: choose one of `docker`, `lambda`, `local`, `runpod`, `slurm`; "
        "`sky check` lists the experimental ones"
    )
    assert refusal(clouds_of, "awz") == "error: unknown cloud `awz`\n\nhint: did you mean `aws`?"


def test_without_skypilot_only_the_table_s_clouds_are_known(monkeypatch, refusal):
    def absent():
        raise LaunchError("SkyPilot is not installed here", "run `make setup-clouds`")

    monkeypatch.setattr("launcher.clouds.skypilot.cloud_names", absent)
    assert clouds_of("runpod,lambda") == ("runpod", "lambda")
    assert refusal(clouds_of, "aws") == "error: SkyPilot is not installed here\n\nhint: run `make setup-clouds`"


def test_the_end_of_a_machine_on_an_experimental_cloud_is_skypilot_s_word(monkeypatch, tmp_path):
    monkeypatch.setattr("launcher.clouds.skypilot.state", lambda *_, **__: None)
    book = Ledger(tmp_path / "book")
    book.begin("toy", "aws", tmp_path, 1.0)
    book.begin("other", "aws,runpod", tmp_path, 2.0)
    monkeypatch.setattr(providers, "account_machines", lambda _: {})
    monkeypatch.setattr(providers, "_name", lambda cloud, run: run)
    assert alive(book) == []
    assert [entry.end for entry in book.entries()] == ["not listed by SkyPilot", "not listed by SkyPilot and RunPod"]
