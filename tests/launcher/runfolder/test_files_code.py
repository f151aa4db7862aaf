from launcher.runfolder.files import tree_hash


def test_a_tree_s_hash_is_of_the_programs_and_tables_by_name_and_content(tmp_path):
    (tmp_path / "recipes/a/__pycache__").mkdir(parents=True)
    (tmp_path / "recipes/b").mkdir()
    file = tmp_path / "recipes/a/one.py"
    file.write_text("1")
    (tmp_path / "recipes/b/two.py").write_text("2")
    folders = ("recipes/a", "recipes/b")
    first = tree_hash(tmp_path, folders)
    assert tree_hash(tmp_path, reversed(folders)) == first
    assert tree_hash(tmp_path, folders[:1]) != first
    for name in ("recipe.yaml", "notes.md", "pins.lock.json", "__pycache__/one.pyc"):
        (tmp_path / "recipes/a" / name).write_text("x")
    assert tree_hash(tmp_path, folders) == first
    file.write_text("3")
    second = tree_hash(tmp_path, folders)
    file.rename(file.with_name("other.py"))
    third = tree_hash(tmp_path, folders)
    (tmp_path / "recipes/a/table.json").write_text("{}")
    assert len({first, second, third, tree_hash(tmp_path, folders)}) == 4


def test_moving_text_from_one_file_to_the_next_changes_the_hash(tmp_path):
    hashes = set()
    for one, other in (("ab", ""), ("a", "b"), ("", "ab")):
        (tmp_path / "a.py").write_text(one)
        (tmp_path / "b.py").write_text(other)
        hashes.add(tree_hash(tmp_path, ["."]))
    assert len(hashes) == 3
