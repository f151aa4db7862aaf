"""The page of clouds: what the launcher knows of each provider, and what it does not."""

from page import Table, code, page

from launcher.clouds import providers

OTHERS = """## Other clouds

`--cloud aws`, `--cloud gcp`, `--cloud kubernetes`, `--cloud nebius`, ...

Every other cloud that the installed SkyPilot knows is **experimental**: no run of this launcher was ever made there.
With SkyPilot 0.14.1 these can execute the images of the recipes: CLOUDS. SkyPilot needs the cloud's own library, for
example `pip install "skypilot[aws]==0.14.1"`; `sky check aws` says whether it can use your account.

"""
IMAGES = (
    *("aws", "azure", "do", "fluidstack", "gcp", "kubernetes", "mithril", "nebius", "paperspace", "seeweb", "ssh"),
    "vast",
)
"""The clouds without a row on which SkyPilot starts containers that terminate themselves."""
ROWS = (
    ("GPUs", "SkyPilot's names. `H100-SXM` in a job file is `H100` there; another name stays as it is"),
    ("prices", "SkyPilot's own, once `sky gpus list --infra aws` has fetched them; until then `unknown`"),
    ("prices of `kubernetes` and `ssh`", "`unknown`: SkyPilot has none, and only `--max-hours` limits a run there"),
    (
        "what SkyPilot cannot do there",
        "refused by the check `offers`, in SkyPilot's words: Docker images, several machines, spot machines, "
        "buckets as folders, machines that terminate themselves",
    ),
    ("credentials", "`unknown`: `sky check` looks"),
    ("disk", "`unknown`: nobody has seen that a machine has the `disk_size` of the job file"),
    ("NVIDIA driver", "`unknown`"),
    ("GPUs that are not in the launcher's table", "`memory` and `kernels` are `unknown`"),
    ("machines", "listed and terminated by SkyPilot alone: `launcher runs`, `launcher down`"),
    ("not known", "all else, until somebody has run it"),
)


def text() -> str:
    return page(
        "Clouds",
        "`--cloud` takes "
        + ", ".join(map(code, sorted(providers.cloud_names())))
        + ", and the name of any other cloud that the installed SkyPilot knows ([below](#other-clouds)). "
        "What the launcher knows of the providers, for SkyPilot 0.14.1:",
        *(_section(row) for row in providers.PROVIDERS),
        OTHERS.replace("CLOUDS", ", ".join(map(code, IMAGES))) + Table(("", "")).of(ROWS),
    )


def _section(row: providers.Provider) -> str:
    rows = [
        ("key", f"`~/{row.key_file}` holds {row.key_line}; made at {row.key_page}"),
        ("console", f"<{row.console}>"),
        ("spot machines", row.no_spot or "yes"),
        ("buckets as folders", row.no_mount or "yes"),
        ("several machines", row.no_joining or "yes"),
        ("the disk of the job file", row.no_disk or "yes"),
        ("CPUs, memory at least", ", ".join(row.least) if row.least else "any"),
        ("own names of GPUs", ", ".join(f"{card}: {code(word)}" for card, word in row.gpus.items()) or "none"),
        ("not known", "; ".join(row.unknown)),
    ]
    return f"## {row.title}\n\n`--cloud {row.name}`\n\n{Table(('', '')).of(rows)}"
