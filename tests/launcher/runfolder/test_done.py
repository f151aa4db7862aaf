import json

import pytest

from launcher.runfolder.done import read_done


def test_a_proof_has_all_its_fields(tmp_path):
    (tmp_path / "done.json").write_text('{"fingerprint": "f", "metrics": {"a": 1}}')
    assert read_done(tmp_path / "done.json") == {
        "fingerprint": "f",
        "attempt": 0,
        "started": 0.0,
        "finished": 0.0,
        "metrics": {"a": 1},
        "files": {},
    }


ODD = [
    [],
    3,
    {"files": 3},
    {"files": {"../a": 1}},
    {"files": {"a": "1"}},
    {"metrics": []},
    {"started": "x"},
    {"attempt": -1},
]


@pytest.mark.parametrize("value", ODD, ids=json.dumps)
def test_what_is_none_means_not_yet(tmp_path, value):
    (tmp_path / "done.json").write_text(json.dumps(value))
    assert read_done(tmp_path / "done.json") is None
    assert read_done(tmp_path / "absent.json") is None
