import hashlib
import os

import pytest

from launcher.runfolder.files import link_folder, read_json, sha256, tree, write_json


def test_a_file_is_written_whole_and_nothing_else_is_left(tmp_path):
    path = tmp_path / "deep/a.json"
    write_json(path, {"b": 1, "a": "é"})
    assert path.read_text() == '{\n  "a": "é",\n  "b": 1\n}\n'
    assert read_json(path) == {"a": "é", "b": 1}
    assert [one.name for one in path.parent.iterdir()] == ["a.json"]


def test_a_file_that_cannot_be_written_is_what_it_was(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"a": 1})
    with pytest.raises(TypeError):
        write_json(path, {"b": object()})
    assert read_json(path) == {"a": 1}


def test_what_is_absent_or_torn_is_not_yet(tmp_path):
    path = tmp_path / "a.json"
    assert read_json(path) is None
    for text in (b"", b'{"a"', b"\xff"):
        path.write_bytes(text)
        assert read_json(path) is None
    assert read_json(path / "below") is None


def test_a_hash_is_of_every_byte(tmp_path):
    content = bytes(range(256)) * 9000
    (tmp_path / "a").write_bytes(content)
    assert sha256(tmp_path / "a") == hashlib.sha256(content).hexdigest()


def test_a_tree_is_every_file_with_its_size_in_order(tmp_path):
    (tmp_path / "b/c").mkdir(parents=True)
    (tmp_path / "empty").mkdir()
    (tmp_path / "b/c/d").write_text("123")
    (tmp_path / "a").write_text("")
    assert tree(tmp_path) == {"a": 0, "b/c/d": 3}
    assert list(tree(tmp_path)) == ["a", "b/c/d"]


def test_a_folder_made_the_same_shares_its_bytes_and_forgets_what_was_there(tmp_path):
    source, target = tmp_path / "source", tmp_path / "target"
    (source / "deep").mkdir(parents=True)
    (source / "deep/a").write_text("a")
    target.mkdir()
    (target / "old").write_text("old")
    (tmp_path / ".target.part").mkdir()
    (tmp_path / ".target.part/torn").write_text("")
    link_folder(source, target)
    assert tree(target) == {"deep/a": 1}
    assert os.path.samefile(source / "deep/a", target / "deep/a")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source", "target"]


def test_an_empty_folder_made_the_same_is_empty(tmp_path):
    (tmp_path / "source").mkdir()
    link_folder(tmp_path / "source", tmp_path / "target")
    assert tree(tmp_path / "target") == {}


def test_links_become_files(tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    (tmp_path / "blob").write_text("content")
    (source / "a").symlink_to("../blob")
    link_folder(source, tmp_path / "target")
    assert not (tmp_path / "target/a").is_symlink()
    assert (tmp_path / "target/a").read_text() == "content"
