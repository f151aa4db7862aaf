"""A card repeats the numbers of each stage and each round that the recipe names."""

from recipes.common.model.export import tables


def test_each_round_of_a_stage_has_a_table_in_the_order_of_the_stages():
    numbers = {"dpo1": {"steps": 12, "loss": 0.5}, "judge": {"repo": "o/m"}, "dpo2": {"steps": 9}}
    assert tables({"dpo": ("steps",), "sft": ("steps",)}, numbers) == (
        "\n| dpo1 | |\n|---|---|\n| steps | 12 |\n\n| dpo2 | |\n|---|---|\n| steps | 9 |\n"
    )
