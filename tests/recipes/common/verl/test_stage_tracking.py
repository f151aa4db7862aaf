from pathlib import Path

from recipes.common.verl.stage import run_name, wandb_environment


def test_a_run_is_named_after_run_and_stage():
    assert run_name(Path("/store/gad-7b-x1/stages/warmup/work")) == "gad-7b-x1/warmup"
    assert run_name(Path("/some/folder")) == "some/folder"


def test_a_restart_finds_the_same_wandb_run(monkeypatch):
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    work = Path("/store/my run/stages/warmup/work")
    assert wandb_environment(work) == {
        "WANDB_DIR": str(work),
        "WANDB_RUN_ID": "my-run-warmup",
        "WANDB_RESUME": "allow",
        "WANDB_SILENT": "true",
        "WANDB_MODE": "offline",
    }


def test_with_a_key_it_is_online(monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", "secret")
    assert "WANDB_MODE" not in wandb_environment(Path("/a/b"))
