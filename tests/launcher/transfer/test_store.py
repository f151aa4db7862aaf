import os
from pathlib import Path

import pytest

from launcher.config.site import SiteFile
from launcher.transfer.store import Store, run_name


def run(store, name, moment):
    folder = store.folder(name)
    folder.path.mkdir(parents=True)
    folder.plan.write_text("{}")
    os.utime(folder.plan, (moment, moment))


def test_a_run_has_a_folder_on_the_machine_and_one_for_its_results(tmp_path):
    store = Store(SiteFile(runs=tmp_path / "runs"))
    assert store.folder("a").path == tmp_path / "runs/.store/a"
    assert store.results("a").path == tmp_path / "runs/a"
    assert Store(SiteFile(runs=tmp_path, store=tmp_path / "s")).folder("a").path == tmp_path / "s/a"
    assert Store(SiteFile(runs=Path("~/r"))).results("a").path == Path.home() / "r/a"


def test_the_newest_run_is_meant_when_none_is_named(tmp_path, refusal):
    store = Store(SiteFile(runs=tmp_path))
    assert refusal(store.existing, None) == (
        f"error: there is no run under `{tmp_path / '.store'}`\n\nhint: start one with `launcher launch`"
    )
    for name, moment in (("b", 2), ("c", 3), ("a", 1)):
        run(store, name, moment)
    assert store.runs() == ["a", "b", "c"]
    assert store.existing(None).path.name == "c"
    assert store.existing("a").path.name == "a"
    assert refusal(store.existing, "d").startswith("error: there is no run `d`\n\nhint: choose one of `a`, `b`, `c`")


@pytest.mark.parametrize("name", ["a", "gad-7b", "a" * 48])
def test_a_run_s_name_can_be_a_cluster_s(name):
    assert run_name(name) == name


@pytest.mark.parametrize("name", ["", "A", "7b", "-a", "a_b", "a/b", "..", "a b", "a\n", "é", "a" * 49, ".store"])
def test_what_cannot_be_a_cluster_s_name_is_no_run_s(refusal, name):
    assert refusal(run_name, name) == (
        f"error: invalid run name `{name}`\n\nhint: use at most 48 of a-z, 0-9 and -; the first is a letter"
    )
