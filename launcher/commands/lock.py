"""The lock command: a recipe's git refs and model revisions as commits, in its lock file."""

from launcher.config.pins import Pins, read_pins, write_pins
from launcher.config.recipe import read_recipe
from launcher.planning.code_version import find_root
from launcher.planning.lock import resolve
from launcher.ui import console


def lock(name: str) -> None:
    """The recipe's lock file has the commits that its refs stand for now; each is on the screen."""
    recipe = read_recipe(name, find_root())
    path = recipe.folder / "pins.lock.json"
    old, new = read_pins(path), resolve(recipe)
    write_pins(path, Pins({**old.sources, **new.sources}, {**old.models, **new.models}))
    for pin, commit in {**new.sources, **new.models}.items():
        before = {**old.sources, **old.models}.get(pin)
        console.say(f"{pin} {commit[:12]}" + (f" (was {before[:12]})" if before and before != commit else ""))
    console.say(f"wrote {path}")
