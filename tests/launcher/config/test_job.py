from pathlib import Path

import pytest

from launcher.config.job import read_job
from launcher.config.recipe import names

ROOT = Path(__file__).parent.parent.parent.parent


@pytest.fixture
def job(tmp_path):
    def job(text):
        (tmp_path / "a.yaml").write_text(text)
        return read_job(tmp_path / "a.yaml")

    return job


@pytest.mark.parametrize(
    ("wanted", "accelerators"),
    [
        ("H100:8", ("H100:8",)),
        ("H100", ("H100:1",)),
        ("{H100: 8, H200-SXM: 4}", ("H100:8", "H200-SXM:4")),
        ("{H100}", ("H100:1",)),
        ("[H100:8, A100]", ("H100:8", "A100:1")),
        ("null", ()),
    ],
)
def test_accelerators_are_alternatives_however_they_are_written(job, wanted, accelerators):
    assert job(f"resources: {{accelerators: {wanted}}}\nrun: x").accelerators == accelerators


def test_alternatives_of_resources_are_alternatives_of_accelerators(job):
    text = "resources: {disk_size: 5, any_of: [{accelerators: H100:8}, {accelerators: B200:8}, {accelerators: H100:8}]}"
    found = job(f"{text}\nrun: x")
    assert (found.accelerators, found.disk_gb, found.nodes) == (("H100:8", "B200:8"), 5, 1)


def test_cpus_and_memory_are_skypilot_s_words(job):
    found = job("resources: {cpus: 2, memory: 4x}\nrun: x")
    assert (found.cpus, found.memory) == ("2", "4x")
    assert job("resources: {cpus: 2+}\nrun: x").memory is None


def test_nodes_and_image_are_read(job):
    found = job("num_nodes: 4\nresources: {image_id: docker:a@sha256:b}\nrun: x")
    assert (found.nodes, found.image) == (4, "docker:a@sha256:b")


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("- a", "`FILE` is not a SkyPilot task\n\nhint: it needs at least `resources:` and `run:`"),
        ("", "`FILE` is not a SkyPilot task\n\nhint: it needs at least `resources:` and `run:`"),
        ("resorces: {}\nrun: x", "`FILE`: unknown key `resorces`\n\nhint: did you mean `resources`?"),
        (
            "resources: {accelerator: H100}\nrun: x",
            "`FILE`: unknown key `resources.accelerator`\n\nhint: did you mean `accelerators`?",
        ),
        (
            "resources: {any_of: [{accelerator: H100}]}\nrun: x",
            "`FILE`: unknown key `resources.accelerator`\n\nhint: did you mean `accelerators`?",
        ),
        ("resources: {cpus: two}\nrun: x", "`FILE`: `resources.cpus` is `two`\n\nhint: write it as `8` or `8+`"),
        ("resources: {cpus: 2x}\nrun: x", "`FILE`: `resources.cpus` is `2x`\n\nhint: write it as `8` or `8+`"),
        ("resources: {memory: 8GB}\nrun: x", "`FILE`: `resources.memory` is `8GB`\n\nhint: write it as `8` or `8+`"),
        ("resources: {any_of: {cpus: 2}}\nrun: x", "`FILE`: `resources.any_of` is `{'cpus': 2}`\n\nhint: it is a list"),
        ("resources: [a]\nrun: x", "`FILE`: `resources` is `['a']`\n\nhint: it holds keys and values"),
        ("setup: x\nrun: x", "`FILE`: `setup` is used\n\nhint: put software into the recipe's image (images/)"),
        (
            "resources: {}",
            "`FILE`: the key `run` is missing\n\nhint: it starts the node program: see jobs/gad-7b.yaml",
        ),
        ("num_nodes: 0\nrun: x", "`FILE`: `num_nodes` is `0`\n\nhint: give a whole number from 1 on"),
        ("num_nodes: two\nrun: x", "`FILE`: `num_nodes` is `two`\n\nhint: give a whole number from 1 on"),
        (
            "resources: {disk_size: 1TB}\nrun: x",
            "`FILE`: `resources.disk_size` is `1TB`\n\nhint: give a whole number of GB",
        ),
        (
            "resources: {accelerators: 8}\nrun: x",
            "`FILE`: `resources.accelerators` is `8`\n\nhint: write it as `H100:8`",
        ),
        (
            "resources: {accelerators: [8]}\nrun: x",
            "`FILE`: `resources.accelerators` is `[8]`\n\nhint: write it as `H100:8`",
        ),
        (
            "resources: {image_id: {us: a}}\nrun: x",
            "`FILE`: `resources.image_id` is `{'us': 'a'}`\n\nhint: write it as `docker:NAME@sha256:...`",
        ),
    ],
)
def test_a_job_file_that_is_wrong_is_a_sentence(job, tmp_path, refusal, text, error):
    assert refusal(job, text).replace(str(tmp_path / "a.yaml"), "FILE") == f"error: {error}"


def test_a_job_file_that_is_absent_is_a_sentence(tmp_path, refusal):
    assert refusal(read_job, tmp_path / "b.yaml") == (
        f"error: `{tmp_path / 'b.yaml'}` does not exist\n\nhint: check the name and the folder you are in"
    )


@pytest.mark.parametrize("path", sorted((ROOT / "jobs").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_job_file_is_a_recipe_s_and_says_what_it_needs(path):
    found = read_job(path)
    assert path.stem in names(ROOT)
    assert len(path.read_text().splitlines()) <= 40
    assert found.nodes >= 1
    assert found.accelerators or path.stem.endswith("-tiny")


@pytest.mark.parametrize(
    "text",
    [
        "num_nodes: true",
        "num_nodes: 99999999999",
        "run: {a: b}",
        "envs: 3",
        "file_mounts: [a]",
        "resources: {disk_size: true}",
        "resources: {disk_size: -5}",
        "resources: {cpus: ...}",
        "resources: {memory: 1.2.3}",
        "resources: {accelerators: {H100: many}}",
        "resources: {accelerators: {H100: 0}}",
        "resources: {accelerators: 'H100:x'}",
        "resources: {accelerators: [3]}",
        "resources: {accelerators: 'a b:1'}",
    ],
)
def test_a_number_or_name_that_means_nothing_is_refused_before_it_is_reckoned_with(tmp_path, refusal, text):
    path = tmp_path / "a.yaml"
    path.write_text(f"{text}\n" if text.startswith("run") else f"run: a\n{text}\n")
    assert refusal(read_job, path).startswith(f"error: `{path}`: `")
