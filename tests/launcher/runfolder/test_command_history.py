import pytest

from launcher.runfolder.command_history import add_command, commands, last_launch
from launcher.runfolder.paths import RunFolder


def test_commands_are_kept_as_they_were_typed(tmp_path):
    folder = RunFolder(tmp_path)
    assert (commands(folder), last_launch(folder)) == ([], None)
    add_command(folder, ["launch", "gad-7b", "--data", "my rows.parquet"], 1.0)
    add_command(folder, ["launch", "--resume", "gad-7b"], 2.0)
    assert commands(folder) == [
        ["launcher", "launch", "gad-7b", "--data", "my rows.parquet"],
        ["launcher", "launch", "--resume", "gad-7b"],
    ]
    assert last_launch(folder) == "launcher launch gad-7b --data 'my rows.parquet'"


@pytest.mark.parametrize("redo", [["--redo", "train"], ["--redo=train"]])
def test_what_was_to_be_done_again_then_is_not_asked_for_once_more(tmp_path, redo):
    add_command(RunFolder(tmp_path), ["launch", *redo, "gad-7b", "--set", "a=1"], 1.0)
    assert last_launch(RunFolder(tmp_path)) == "launcher launch gad-7b --set a=1"


def test_a_torn_or_foreign_line_is_passed_over(tmp_path):
    lines = ['{"words": 5}', '{"time": null, "words": ["launcher"]}', '{"words": ["launcher", 1]}']
    lines += ['{"time": 1.5, "words": ["launcher", "plan"]}', '{"time"']
    (tmp_path / "commands.jsonl").write_text("\n".join(lines))
    assert commands(RunFolder(tmp_path)) == [["launcher", "plan"]]
