from recipes.common.stage.command import Progress
from recipes.common.verl.stage import read_history


def test_of_a_step_done_twice_the_second_counts(tmp_path):
    progress = Progress(tmp_path)
    for step, loss in ((1, 1.0), (2, 2.0), (2, 3.0), (3, 4.0)):
        progress.step(step, 3, {"loss": loss})
    progress.checkpoint("global_step_2", 2)
    with open(tmp_path / "progress.jsonl", "a") as file:
        file.write('{"step": 4, "met')
    assert read_history(tmp_path, 2) == {1: {"loss": 1.0}, 2: {"loss": 3.0}}


def test_nothing_reported_is_no_history(tmp_path):
    assert read_history(tmp_path, 9) == {}
