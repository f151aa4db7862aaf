from pathlib import Path

from recipes.common.verl.config import overrides_of


def test_names_and_paths_are_quoted_whatever_they_hold_and_the_rest_is_as_it_is():
    values = {
        "a.path": Path("/it's here"),
        "a.name": "[x=1, y]",
        "a.list": ["wandb", "[x]"],
        "a.rate": 1e-6,
        "a.on": True,
    }
    assert overrides_of(values) == [
        "a.path='/it\\'s here'",
        "a.name='[x=1, y]'",
        "a.list=['wandb','[x]']",
        "a.rate=1e-06",
        "a.on=True",
    ]
