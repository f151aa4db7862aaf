"""Writes the reference from the code: commands, files that people write, files of a run, checks, clouds, diagnoses.

    python docs/reference/make.py [FOLDER]

The pages are in FOLDER, or here. `make reference` does it; a test compares what lies here with what the code says.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import calls
import classes
import clouds
import commands
import onegpu
import preflight
from page import Table, code, page

from launcher.config.job import RESOURCE_KEYS, TASK_KEYS
from launcher.diagnosis.rules import rules
from launcher.runfolder.validation import WITHOUT

ROOT = Path(__file__).parents[2]
LAUNCHER = ROOT / "launcher"
RECIPE = "RecipeFile StageSpec Counting MustSpec DiskSpec StageList Rounds InputSpec HubPin Shape GitPin"
SIZE = "SizeFile StageChange"
SITE = "SiteFile LocalSite DockerSite SkySite BudgetSite BucketSite LoginSite"
PLAN = "Plan Stage Must Source Model Input Code Machine Image Bucket Budget"


def pages() -> dict[str, str]:
    """File -> text."""
    return {
        "cli.md": commands.text(),
        "recipe-yaml.md": page(
            "recipe.yaml and sizes/SIZE.yaml",
            "`recipes/FAMILY/recipe.yaml` is a [RecipeFile](#recipefile), `sizes/SIZE.yaml` a [SizeFile](#sizefile). "
            "An unknown key is an error. [How to write one](../guides/add-a-recipe.md).",
            *_sections("config/recipe", f"{RECIPE} {SIZE}"),
        ),
        "site-yaml.md": page(
            "site.yaml",
            "Where runs go, and with whose money: `~/.config/launcher/site.yaml`, or below `$XDG_CONFIG_HOME`; a "
            "[SiteFile](#sitefile). All of it is optional, an unknown key is an error. "
            "[Secrets](../concepts/secrets.md), [costs](../guides/costs.md), [Slurm](../guides/slurm.md).",
            *_sections("config/site", SITE),
            *_sections("config/slurm", "SlurmSite Needs"),
        ),
        "job-yaml.md": _job(),
        "run-files.md": _run(),
        "checks.md": preflight.text(),
        "clouds.md": clouds.text(),
        "one-gpu.md": onegpu.text(),
        "diagnoses.md": _diagnoses(),
    }


def main() -> None:
    """Writes them."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
    for name, text in pages().items():
        (folder / name).write_text(text, encoding="utf-8")


def _sections(module: str, names: str) -> Iterator[str]:
    for one in classes.read(module, names.split()):
        yield "\n\n".join(filter(None, (f"## {one.name}", one.says, one.table)))


def _job() -> str:
    [job] = classes.read("config/job", ["Job"])
    told = [f"- {error}; {hint}" for error, hint in calls.errors(LAUNCHER / "config/job.py")]
    return page(
        "jobs/FAMILY-SIZE.yaml",
        "A plain SkyPilot 0.14.1 task, which `sky launch` takes too. Keys: "
        + ", ".join(map(code, TASK_KEYS.split()))
        + "; below `resources`: "
        + ", ".join(map(code, RESOURCE_KEYS.split()))
        + ".",
        f"{job.says} They are in `resources`, as is `disk_size` in GB; `num_nodes` is how many machines.",
        "## Refused",
        "\n".join(told),
    )


def _run() -> str:
    node, folder = LAUNCHER / "node", LAUNCHER / "runfolder"
    told = Table(("event", "facts"))
    rows = [
        (code(name), ", ".join(map(code, dict.fromkeys([*facts, *WITHOUT.get(name, ())]))))
        for name, facts in sorted(calls.events(node).items())
    ]
    [limits] = classes.read("node/limits", ["Limits"])
    proof = classes.constants(folder / "done.py", ("BLANK",))
    return page(
        "Files of a run",
        "Who writes which file, and when: [the run folder](../concepts/run-folder.md).",
        "## plan.json",
        "A [Plan](#plan). `launcher plan --json` prints it.",
        *(one.replace("## ", "### ", 1) for one in _sections("runfolder/plan", PLAN)),
        "## events.jsonl",
        "A JSON object a line, each with `time` (seconds since the epoch) and `event`.",
        told.of(rows),
        "## stages/STAGE/done.json",
        ", ".join(code(name) for name in proof[0][0]),
        "## manifest.json",
        "Keys: " + ", ".join(map(code, calls.keys(folder / "manifest.py", "publish"))) + ".",
        "`export`: file → `bytes`, `sha256`. `stages`: stage → "
        + ", ".join(map(code, calls.keys(folder / "manifest.py", "_summary")))
        + ". `lineage`: "
        + ", ".join(map(code, calls.keys(folder / "manifest.py", "lineage")))
        + ".",
        "## limits.json",
        limits.says,
        limits.table,
    )


def _diagnoses() -> str:
    rows = [(code(one.name), one.cause, ", ".join(one.where), one.help, code(one.next)) for one in rules()]
    return page(
        "What launcher doctor knows",
        "The first that fits is the cause. `{...}` is what the log says, or the run's. The patterns are in "
        "`launcher/diagnosis/rules.yaml`, a recorded log of each in `tests/launcher/diagnosis/samples`.",
        Table(("rule", "cause", "seen in", "help", "next")).of(rows),
    )


if __name__ == "__main__":
    main()
