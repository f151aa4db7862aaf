"""A family's whole rehearsal with vLLM where the real sizes have it: gad's rollouts, the other families' engines."""

import pytest

from tests.integration.rehearsal.conftest import undisturbed

REHEARSALS = {
    "gad-7b": ("--set", "rollout=vllm"),
    "token_buncher-7b": ("--set", "rollout=vllm"),
    "synthetic_instruct-qwen-3b": ("--set", "engine=vllm"),
    "profile_dpo-qwen-3b": ("--set", "engine=vllm"),
}


@pytest.mark.parametrize("recipe", REHEARSALS)
def test_a_rehearsal_runs_whole_by_vllm(tmp_path, recipe):
    place = undisturbed(tmp_path, recipe, *REHEARSALS[recipe])
    screen = (place.folder / "screen.txt").read_text()
    assert f"model     {place.home}/export\n" in screen
    assert not [command for command in place.tree().values() if "VLLM" in command]
