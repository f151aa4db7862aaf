"""A machine is written down before it is asked for, and what is written survives whatever happens to its writer."""

import json
from dataclasses import replace

import pytest

from launcher.clouds.ledger import Entry, Ledger, ledger

HOUR = 3600.0
START = 1_000_000.0


@pytest.fixture
def book(tmp_path):
    return Ledger(tmp_path / "machines")


def test_an_entry_is_on_disk_once_it_is_begun_and_nobody_else_may_read_it(book, tmp_path):
    entry = book.begin("gad-7b", "runpod,lambda", tmp_path / "run", START)
    assert Ledger(book.folder).entries() == [entry]
    assert book.folder.stat().st_mode & 0o077 == 0
    assert (entry.price, entry.cost(START + HOUR), entry.ended) == (None, None, None)


def test_what_has_ended_is_not_alive_but_was_paid_for(book, tmp_path):
    first = book.write(replace(book.begin("a", "runpod", tmp_path, START), price=2.0))
    book.close(first, "done", START + 3 * HOUR)
    second = book.write(replace(book.begin("a", "lambda", tmp_path, START + 4 * HOUR), price=10.0))
    book.begin("b", "lambda", tmp_path, START)
    assert book.alive("a") == [second]
    assert [one.run for one in book.alive()] == ["b", "a"]
    assert book.spent("a", START + 5 * HOUR) == pytest.approx(3 * 2 + 10)
    assert book.hours("a", START + 5 * HOUR) == pytest.approx(3 + 1)
    assert book.spent("b", START + 5 * HOUR) == 0


def test_a_file_that_cannot_be_read_hides_no_other(book, tmp_path):
    entry = book.begin("a", "runpod", tmp_path, START)
    (book.folder / "torn.json").write_text('{"run": "b"')
    (book.folder / "foreign.json").write_text(json.dumps({"run": "b", "colour": "red"}))
    assert book.entries() == [entry]


@pytest.mark.parametrize(
    "field", ["run", "clouds", "folder", "asked", "cloud", "region", "end", "price", "up", "ended"]
)
def test_a_file_with_a_value_of_another_kind_is_not_counted_with(book, tmp_path, field):
    entry = book.begin("a", "runpod", tmp_path, START)
    [path] = book.folder.glob("*.json")
    path.write_text(json.dumps({**json.loads(path.read_text()), field: ["no such thing"]}))
    assert book.entries() == []
    path.write_text(json.dumps({**json.loads(path.read_text()), field: getattr(entry, field)}))
    assert book.entries() == [entry]


def test_the_bill_says_whether_it_is_sure():
    asked = Entry("a", "runpod,lambda", "/run", START)
    assert asked.bill(START) == ("a machine of run `a` on runpod,lambda may exist and cost money: its price is unknown")
    there = replace(asked, cloud="lambda", price=31.92, up=START + 60)
    assert there.bill(START + HOUR / 2) == (
        "a machine of run `a` on lambda still costs money: $15.96 until now, $31.92 an hour"
    )


def test_a_clock_that_went_back_costs_nothing_less_than_nothing():
    assert Entry("a", "runpod", "/run", START, price=2.0).cost(START - HOUR) == 0


def test_it_lies_where_xdg_says():
    assert str(ledger({"HOME": "/home/u"}).folder) == "/home/u/.local/state/launcher/machines"
    assert str(ledger({"HOME": "/home/u", "XDG_STATE_HOME": "/state"}).folder) == "/state/launcher/machines"


def test_an_allocation_of_a_cluster_costs_hours():
    asked = Entry("run", "slurm", "/runs/run", 0.0)
    assert asked.bill(1800) == "an allocation of run `run` on slurm may be waiting or reserved: 0.5 hours until now"
    up = Entry("run", "slurm", "/runs/run", 0.0, cloud="slurm", price=0.0, up=60.0)
    assert up.bill(7200) == "an allocation of run `run` on slurm is reserved: 2.0 hours until now"
