import asyncio

import pytest
import torch

from recipes.common.verl.cpu_generator import Generator, sample


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    from recipes.common.model import tiny

    folder = tmp_path_factory.mktemp("tiny")
    tiny.save(folder, ["the word is plum", "say the word"])
    return folder


@pytest.fixture(scope="module")
def generator(model):
    from transformers import AutoModelForCausalLM

    generator = Generator(str(model), prompt_length=16, response_length=12)
    asyncio.run(generator.load(AutoModelForCausalLM.from_pretrained(model).state_dict(), 3))
    return generator


def ask(generator, seed=1, temperature=1.0, prompt=(5, 6, 7), **more):
    params = {"temperature": temperature, "seed": seed, "logprobs": True, **more}
    return asyncio.run(generator.generate(list(prompt), params, "request"))


def test_a_request_gets_the_same_tokens_whatever_came_between(generator):
    first = ask(generator)
    ask(generator, seed=2)
    assert ask(generator) == first
    assert ask(generator, seed=2).token_ids != first.token_ids


def test_the_answer_says_which_weights_gave_it(generator):
    assert ask(generator).extra_fields == {"global_steps": 3}


def test_greedy_needs_no_seed(generator):
    assert ask(generator, seed=1, temperature=0) == ask(generator, seed=2, temperature=0)


def test_prompt_and_reply_stay_within_the_limit(generator):
    assert len(ask(generator).token_ids) <= 12
    assert len(ask(generator, prompt=range(3, 25)).token_ids) <= 28 - 22


def test_log_probabilities_are_those_of_the_whole_sequence(generator):
    answer = ask(generator, temperature=0.8)
    ids = torch.tensor([[5, 6, 7, *answer.token_ids]])
    with torch.no_grad():
        logits = generator.model(ids).logits[0, 2:-1] / 0.8
    expected = torch.log_softmax(logits, -1).gather(1, ids[0, 3:, None])[:, 0]
    torch.testing.assert_close(torch.tensor(answer.log_probs), expected, atol=1e-5, rtol=0)


def test_the_end_token_ends_the_reply(generator):
    first = ask(generator, prompt=(5,), temperature=0).token_ids[0]
    ids, _ = sample(generator.model, [5], 12, end=first, params={"temperature": 0})
    assert len(ids) == 1


def test_weights_that_do_not_fit_are_refused(generator):
    with pytest.raises(ValueError, match="does not know"):
        asyncio.run(generator.load({"other": torch.zeros(1)}, 4))
