from recipes.gad.export import card

BASE = {"repo": "Qwen/Qwen2.5-7B-Instruct", "revision": "a09a35458c702b33eeacc393d103063234e8bc28"}
DATA = {"train": {"rows": 282367}, "val": {"rows": 14000}}


def test_a_card_names_the_base_its_commit_the_method_and_the_numbers():
    text = card(BASE, {"mode": "adversarial", "step": 4408, "rouge_l": 0.31234, "d_acc": 0.7}, DATA, "bfloat16")
    assert "base_model: Qwen/Qwen2.5-7B-Instruct\n" in text
    assert BASE["revision"] in text
    assert "arXiv:2511.10643" in text
    assert "282,367 training rows" in text
    assert "| step | 4408 |\n| rouge_l | 0.3123 |\n| d_acc | 0.7 |" in text
    assert text.startswith("---\n") and text.count("---\n") == 2


def test_a_card_of_a_model_made_on_the_spot_claims_no_base_on_the_hub():
    text = card({"repo": "tiny", "revision": None}, {"mode": "seqkd", "step": 6}, DATA, "bfloat16")
    assert "base_model" not in text
    assert "made on the spot" in text and "supervised training" in text
