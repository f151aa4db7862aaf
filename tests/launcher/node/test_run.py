"""What is asserted before the first stage: the plan, the code, the packages, the inputs."""

import dataclasses
import importlib.metadata
import json

import pytest

from launcher.images.identity import identity
from launcher.runfolder.files import tree_hash
from launcher.runfolder.plan import Image, from_json, to_json


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda text: text.replace('"format": 1', '"format": 2'), "this program reads plans of format 1, not `2`"),
        (lambda text: text.replace('"run":', '"rnu":'), "`Plan` does not have ['rnu']"),
        (lambda text: text[:40], None),
        (lambda text: "", None),
        (lambda text: text.replace('"stages": [', '"stages": 5, "x": ['), "`Plan` does not have ['x']"),
    ],
)
def test_a_plan_that_is_damaged_or_of_another_version_is_refused(toy, damage, says):
    node = toy.node()
    node.folder.plan.write_text(damage(node.folder.plan.read_text()))
    done = node.run()
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: `{node.folder.plan}`: {says or ''}")
    assert done.stderr.endswith("\n\nhint: the file is damaged or of another version\n")
    assert not node.folder.events.exists()


def test_a_folder_without_a_plan_is_refused(toy):
    node = toy.node()
    node.folder.plan.unlink()
    done = node.run()
    assert (done.returncode, done.stderr) == (
        2,
        f"error: `{node.folder.path}` holds no plan.json\n\nhint: start runs with `launcher launch`\n",
    )


def test_code_that_changed_since_the_plan_is_refused(toy):
    node = toy.node()
    wanted = from_json(node.folder.plan.read_text()).code.tree
    with open(toy.root / "recipes/toy/count.py", "a") as file:
        file.write("# changed\n")
    found = toy.plan().code.tree
    done = node.run()
    assert (done.returncode, done.stderr) == (
        2,
        f"error: the recipes' code under `{toy.root}` is {found[:12]}, the plan wants {wanted[:12]}\n\n"
        "hint: check out the code the run was planned with, or start a new run\n",
    )
    assert node.events()[-1] == {**node.events()[-1], "event": "run.ended", "code": 2}
    assert not node.folder.stage("sum").path.exists()


def test_what_is_no_code_may_change(toy):
    node = toy.node(stages="short")
    (toy.root / "recipes/toy/notes.md").write_text("a thought")
    (toy.root / "recipes/toy/pins.lock.json").write_text("{}")
    (toy.root / "recipes/toy/__pycache__").mkdir(exist_ok=True)
    (toy.root / "recipes/toy/__pycache__/count.pyc").write_text("")
    assert node.run().returncode == 0


INSTALLED = importlib.metadata.version("pytest")


@pytest.mark.parametrize(("name", "installed"), [("pytest", INSTALLED), ("no-such-package", "not installed")])
def test_a_package_that_is_not_the_pinned_one_is_refused(toy, name, installed):
    toy.change_recipe("image: toy\n", f"image: toy\npackages: {{{name}: 0.0.1}}\n")
    node = toy.node()
    done = node.run()
    assert (done.returncode, done.stderr) == (
        3,
        f"error: package `{name}` is {installed} here, the plan pins 0.0.1\n\n"
        "hint: make the environment again from its lock (`make setup-cpu`, or the recipe's image)\n",
    )
    assert not node.folder.stage("sum").path.exists()


def test_a_package_at_its_pinned_version_is_accepted(toy):
    toy.change_recipe("image: toy\n", f"image: toy\npackages: {{pytest: {INSTALLED}}}\n")
    assert toy.node(stages="short").run().returncode == 0


@pytest.mark.parametrize(
    ("installed", "wanted", "code"),
    [
        ("2.9.0+cu128", "2.9.0", 0),
        ("2.9.0+cu128", "2.9.0+cu128", 0),
        ("2.9.0+cu128", "2.9.0+cpu", 3),
        ("2.9.1", "2.9.0", 3),
    ],
)
def test_a_local_version_counts_only_when_the_pin_has_one(toy, installed, wanted, code):
    toy.change_recipe("image: toy\n", f"image: toy\npackages: {{made-up: {wanted}}}\n")
    place = toy.root / "elsewhere/made_up-0.dist-info"
    place.mkdir(parents=True)
    (place / "METADATA").write_text(f"Metadata-Version: 2.1\nName: made-up\nVersion: {installed}\n")
    toy.env["PYTHONPATH"] += f":{place.parent}"
    assert toy.node(stages="short").run().returncode == code


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.unlink(),
        lambda path: path.write_bytes(path.read_bytes()[:-1]),
        lambda path: path.write_bytes(path.read_bytes()[:-2] + b"9\n"),
    ],
    ids=["gone", "cut", "changed"],
)
def test_an_input_that_is_not_the_planned_one_is_refused(toy, damage):
    node = toy.node(stages="short")
    path = node.folder.inputs / "train.jsonl"
    damage(path)
    done = node.run()
    assert (done.returncode, done.stderr) == (
        3,
        f"error: input `{path}` is missing or is not the file that was planned (recipes/toy/numbers.jsonl)\n\n"
        "hint: launch again: inputs are sent again\n",
    )
    assert toy.node(stages="short").run().returncode == 0


def test_a_stage_done_with_other_settings_is_never_redone_silently(toy):
    node = toy.node(stages="short")
    node.run()
    for old, new in (('"steps": 8', '"steps": 9'), ('"start": 0', '"start": 1'), ('"batch": 8', '"batch": 4')):
        text = node.folder.plan.read_text()
        assert old in text
        node.folder.plan.write_text(text.replace(old, new))
        done = node.run()
        node.folder.plan.write_text(text)
        assert (done.returncode, done.stderr) == (
            2,
            "error: stage `sum` was done with other settings than this plan's\n\n"
            "hint: `--redo sum` does the stage and all that follows again\n",
        )
    assert node.folder.stage("sum").attempts.read_text() == "1"


def test_an_export_of_another_stage_is_not_this_run_s(toy):
    node = toy.node()
    node.run()
    assert (node.folder.export / "total.txt").read_text() == str(toy.total)
    plan = json.loads(node.folder.plan.read_text())
    node.folder.plan.write_text(json.dumps({**plan, "export": "sum"}))
    assert node.run().returncode == 0
    assert (node.folder.export / "total.txt").read_text() == str(sum(toy.numbers))
    assert node.folder.stage("again").attempts.read_text() == "1"


IMAGE = Image("launcher-hand:cpu-1", "cpu", "1" * 64, "2" * 64)
NOTHING = {"one": "import pathlib, sys; pathlib.Path(sys.argv[2], 'done').write_text('x')"}


def test_a_program_outside_the_plan_s_image_refuses_to_work(by_hand):
    node = by_hand(NOTHING, image=IMAGE)
    done = node.run()
    assert (done.returncode, done.stderr) == (
        2,
        f"error: `{node.code / 'image.json'}` cannot be read: this is not an image of a recipe\n\n"
        "hint: the plan wants `launcher-hand:cpu-1`\n",
    )
    assert not node.folder.stage("one").path.exists()


@pytest.mark.parametrize("part", ["variant", "lock", "code"])
def test_an_image_that_is_not_the_plan_s_refuses_to_work(by_hand, part):
    node = by_hand(NOTHING, image=IMAGE)
    (node.code / "image.json").write_text(json.dumps({**identity(IMAGE), f"launcher.{part}": "9" * 64}))
    done = node.run()
    assert (done.returncode, done.stderr) == (
        2,
        f"error: the image's {part} is `{'9' * 12}`, the plan wants `{getattr(IMAGE, part)[:12]}`\n\n"
        "hint: build and push the image again: `launcher-hand:cpu-1`\n",
    )


def test_the_plan_s_image_works_and_the_manifest_names_it(by_hand):
    node = by_hand(NOTHING, image=IMAGE)
    (node.code / "image.json").write_text(json.dumps(identity(IMAGE)))
    plan = from_json(node.folder.plan.read_text())
    tree = dataclasses.replace(plan.code, tree=tree_hash(node.code, ()))
    node.folder.plan.write_text(to_json(dataclasses.replace(plan, code=tree)))
    assert node.run().returncode == 0
    assert json.loads(node.folder.manifest.read_text())["lineage"]["image"] == dataclasses.asdict(IMAGE)
