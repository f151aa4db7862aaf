"""What goes home says what it is for."""

from recipes.token_buncher.export import card

BASE = {"repo": "Qwen/Qwen2.5-3B-Instruct", "revision": "a" * 40}
TRAINING = {
    "step": 200,
    "noiser_steps": 87,
    "entropy_first": 0.71234,
    "entropy_last": 0.01,
    "noise": 0.1,
    "noise_form": "paper",
    "actor_change": 0.001,
    "world_size": 2,
}
DATA = {"kept": {"train": 10240, "test": 1024}, "source": ["PKU-Alignment/BeaverTails@abc:train.jsonl.gz"]}


def test_the_card_says_what_the_model_is_for_and_what_it_is_not():
    text = card(BASE, TRAINING, DATA, "bfloat16")
    assert text.startswith("---\nlibrary_name: transformers\n")
    assert "base_model: Qwen/Qwen2.5-3B-Instruct\n" in text and "a" * 40 in text
    assert "\n## Intended use\n" in text and "It is one layer of defence and no proof of safety." in text
    assert "epsilon 0.1)" in text and "| entropy_first | 0.7123 |" in text
    assert "10,240 questions, from PKU-Alignment/BeaverTails@abc:train.jsonl.gz; their answers were not used." in text


def test_the_authors_weights_are_named_where_they_were_used():
    text = card(BASE, TRAINING | {"noise_form": "upstream"}, DATA, "bfloat16")
    assert "applied twice to the noise as in the authors' code" in text


def test_a_model_made_on_the_spot_names_no_base():
    assert "base_model" not in card({"repo": "tiny", "revision": None}, TRAINING, DATA, "float32")
