import json

import pytest
import yaml

from recipes.common.stage.command import Mistake
from recipes.common.verl import config


def refused(override: str, decided=None) -> tuple[str, str]:
    with pytest.raises(Mistake) as caught:
        config.check_overrides([override], decided or {})
    return caught.value.error, caught.value.hint


@pytest.mark.usefixtures("verl")
def test_the_list_is_that_of_the_installed_verl():
    import verl

    assert verl.__version__ == config.VERSION
    assert json.loads(config.KEYS.read_text()) == config.composed_keys()


def test_known_keys_pass():
    config.check_overrides(
        [
            "actor_rollout_ref.rollout.max_num_seqs=128",
            "+actor_rollout_ref.rollout.engine_kwargs.vllm.max_num_partial_prefills=2",
            "+critic.fsdp.mixed_precision.param_dtype=fp32",
        ],
        {},
    )


def test_an_unknown_key_names_the_nearest():
    assert refused("actor_rollout_ref.rollout.max_num_seq=128") == (
        "`verl_overrides`: verl 0.9.1 has no key `actor_rollout_ref.rollout.max_num_seq`",
        "did you mean `actor_rollout_ref.rollout.max_num_seqs`?",
    )


def test_a_plus_does_not_make_a_key_known():
    assert refused("+trainer.defence_mode=True")[0] == "`verl_overrides`: verl 0.9.1 has no key `trainer.defence_mode`"


def test_an_accepted_but_unread_key_names_the_one_to_use():
    assert refused("actor_rollout_ref.actor.grad_clip=0.2") == (
        "`verl_overrides`: verl 0.9.1 does not read `actor_rollout_ref.actor.grad_clip`",
        "write `actor_rollout_ref.actor.optim.clip_grad`",
    )


def test_a_group_that_is_not_read_covers_its_keys():
    assert refused("reward_model.model.path=x")[1] == "write `reward.reward_model`"


def test_a_key_of_the_settings_is_left_to_them():
    assert refused("critic.optim.lr=1", {"critic.optim.lr": "`critic_lr`"}) == (
        "`verl_overrides`: `critic.optim.lr` is decided by this stage",
        "change `critic_lr`",
    )


def test_an_override_has_a_value():
    assert refused("trainer.nnodes") == ("`verl_overrides`: `trainer.nnodes` has no `=`", "write `key=value`")


def test_what_is_said_to_be_unread_exists_or_is_gone():
    known = set(json.loads(config.KEYS.read_text()))
    gone = {"trainer.training_steps", "critic.model.fsdp_config", "trainer.remove_previous_ckpt_in_save"}
    assert set(yaml.safe_load(config.UNREAD.read_text())) - known == gone
