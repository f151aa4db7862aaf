"""What a training stage may be told, its schedule, and its sizes on different machines."""

import json
import re
from pathlib import Path

import pytest

from recipes.common.stage.settings import read_settings
from recipes.common.verl.hardware import Hardware
from recipes.token_buncher.fit_to_gpu import Gpu, fill_sizes, numbers, size_line
from recipes.token_buncher.settings import Settings, is_noiser

VALUES = {
    "mode": "defend",
    "steps": 200,
    "train_batch": 32,
    "mini_batch": 8,
    "rollout_n": 4,
    "max_prompt_length": 320,
    "max_response_length": 1024,
    "rollout_tensor_parallel": None,
    "tokens_per_gpu": None,
    "gpu_memory_utilization": 0.8,
    "lr": 1e-6,
    "grad_clip": 1.0,
    "kl": 0.001,
    "warmup_steps": None,
    "noise": 0.1,
    "noise_form": "paper",
    "save_every": 50,
    "keep_last": 2,
    "device": "cuda",
    "rollout": "vllm",
    "ranks": None,
    "param_offload": True,
    "optimizer_offload": True,
    "seed": 42,
    "wandb_project": "token_buncher",
    "verl_overrides": [],
    "classifier": None,
}


def settings(**changed) -> Settings:
    return Settings(**VALUES | changed)


def test_the_first_eighth_is_warmup_then_every_other_step_is_the_noisers():
    """200 steps: the authors' 0-based even batches from 25 on, so that the 27th step is the first."""
    found = [step for step in range(1, 201) if is_noiser(step, settings().warmup)]
    assert found == list(range(27, 201, 2))
    assert [is_noiser(step, 2) for step in range(1, 8)] == [False, False, True, False, True, False, True]
    assert settings(warmup_steps=0).warmup == 0 and settings(steps=80).warmup == 10


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"mode": "defence"}, "`mode` is `defence`, not one of `defend`, `attack`"),
        ({"noise_form": "ours"}, "`noise_form` is `ours`, not one of `paper`, `upstream`"),
        ({"noise": 0.0}, "`noise` is `0.0`, not between 0 and 1"),
        ({"noise": 1.0}, "`noise` is `1.0`, not between 0 and 1"),
        ({"kl": -0.1}, "`kl` is `-0.1`, less than 0"),
        ({"warmup_steps": -1}, "`warmup_steps` is `-1`, less than 0"),
        ({"lr": 0.0}, "`lr` is `0.0`, not above 0"),
        ({"grad_clip": 0.0}, "`grad_clip` is `0.0`, not above 0"),
        ({"steps": 0}, "`steps` is `0`, less than 1"),
        ({"ranks": 0}, "`ranks` is `0`, less than 1"),
        ({"rollout_n": 1}, "`rollout_n` is `1`: GRPO compares samples of one prompt, so it needs 2 or more"),
        ({"mini_batch": 5}, "`train_batch` is `32`, not a multiple of `mini_batch` 5"),
        (
            {"tokens_per_gpu": 1343},
            "`tokens_per_gpu` is `1343`, less than one sequence of `max_prompt_length` + `max_response_length` = "
            "1344 tokens",
        ),
        (
            {"mode": "attack"},
            "`classifier` is `null`: an attack needs your classifier, whose score is the reward",
        ),
    ],
)
def test_a_value_that_cannot_be_is_a_sentence(tmp_path, refusal, changed, says):
    path = tmp_path / "settings.json"
    path.write_text(json.dumps(VALUES | changed))
    assert refusal(read_settings, path, Settings) == f"error: `{path}`: {says}\n\nhint: change that value"


@pytest.mark.parametrize(
    ("world", "parallel", "train", "mini"),
    [(1, 1, 32, 8), (2, 2, 32, 8), (3, 1, 36, 9), (4, 2, 32, 8), (6, 2, 36, 9), (7, 1, 42, 14), (8, 2, 32, 8)],
)
def test_sizes_follow_from_the_number_of_gpus(world, parallel, train, mini):
    found = fill_sizes(settings(), Hardware("cuda", "vllm", world), Gpu("H100", 80 * 10**9), 151936)
    assert (found.rollout_tensor_parallel, found.train_batch, found.mini_batch) == (parallel, train, mini)
    assert found.mini_batch * found.rollout_n % world == 0 and found.train_batch % found.mini_batch == 0
    assert found.ranks == world


@pytest.mark.parametrize("world", range(1, 65))
@pytest.mark.parametrize("batch", [(32, 8), (8, 4), (7, 7)])
@pytest.mark.parametrize("samples", [2, 4, 5])
def test_every_machine_can_share_its_batches(world, batch, samples):
    given = settings(train_batch=batch[0], mini_batch=batch[1], rollout_n=samples)
    found = fill_sizes(given, Hardware("cuda", "vllm", world), Gpu("H100", 80 * 10**9), 151936)
    assert found.mini_batch * samples % world == 0 and found.train_batch % found.mini_batch == 0
    assert world % found.rollout_tensor_parallel == 0
    assert found.train_batch >= batch[0] and found.mini_batch >= batch[1]


@pytest.mark.parametrize(("memory", "tokens"), [(24, 3290), (48, 6581), (80, 10969), (141, 19333), (4, 1344)])
def test_tokens_a_gpu_follow_from_its_memory_and_are_never_less_than_one_sequence(memory, tokens):
    found = fill_sizes(settings(), Hardware("cuda", "vllm", 2), Gpu("GPU", memory * 10**9), 151936)
    assert found.tokens_per_gpu == tokens


def test_what_the_user_says_is_kept():
    given = settings(rollout_tensor_parallel=4, tokens_per_gpu=2000)
    found = fill_sizes(given, Hardware("cuda", "vllm", 4), Gpu("H100", 80 * 10**9), 151936)
    assert (found.rollout_tensor_parallel, found.tokens_per_gpu) == (4, 2000)


def test_a_tensor_parallel_that_does_not_fit_is_a_sentence(refusal):
    assert refusal(fill_sizes, settings(rollout_tensor_parallel=4), Hardware("cuda", "vllm", 6), None, 100) == (
        "error: `rollout_tensor_parallel` is `4`, which does not divide the 6 training processes\n\n"
        "hint: make it a divisor of 6, or null"
    )


def test_the_sizes_are_shown_and_reported():
    machine, gpu = Hardware("cuda", "vllm", 2), Gpu("NVIDIA H100", 80 * 10**9)
    found = fill_sizes(settings(), machine, gpu, 151936)
    assert size_line(found, machine, gpu) == (
        "2 x NVIDIA H100, 80 GB each: rollout_tensor_parallel 2, train_batch 32, mini_batch 8, rollout_n 4, "
        "tokens_per_gpu 10969"
    )
    assert size_line(found, Hardware("cpu", "hf", 1), None).startswith("1 x CPU: rollout_tensor_parallel 2")
    assert numbers(found, machine) == {
        "world_size": 2,
        "rollout_tensor_parallel": 2,
        "train_batch": 32,
        "mini_batch": 8,
        "tokens_per_gpu": 10969,
    }


def test_settings_of_the_recipe_are_those_of_the_paper():
    yaml = pytest.importorskip("yaml")
    recipe = yaml.safe_load((Path(__file__).parents[3] / "recipes/token_buncher/recipe.yaml").read_text())
    stage = recipe["stages"]["defend"]
    given = {name: recipe["settings"][name] for name in stage["uses"]} | stage["settings"]
    numbers = {name: float(value) for name, value in given.items() if re.fullmatch(r"[\d.]+e-\d+", str(value))}
    found = Settings(**given | numbers)
    assert found == settings()
