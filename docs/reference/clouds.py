"""The page of clouds: what the launcher knows of each provider, and what it does not."""

from page import Table, code, page

from launcher.clouds import providers


def text() -> str:
    return page(
        "Clouds",
        "`--cloud` takes "
        + ", ".join(map(code, sorted((*providers.HERE, "slurm", *providers.rented()))))
        + ". What the launcher knows of the providers, for SkyPilot 0.14.1:",
        *(_section(row) for row in providers.PROVIDERS),
    )


def _section(row: providers.Provider) -> str:
    rows = [
        ("key", f"`~/{row.key_file}` holds {row.key_line}; made at {row.key_page}"),
        ("console", f"<{row.console}>"),
        ("spot machines", row.no_spot or "yes"),
        ("buckets as folders", row.no_mount or "yes"),
        ("several machines", row.no_joining or "yes"),
        ("CPUs, memory at least", ", ".join(row.least) if row.least else "any"),
        ("own names of GPUs", ", ".join(f"{card}: {code(word)}" for card, word in row.gpus.items()) or "none"),
        ("not known", "; ".join(row.unknown)),
    ]
    return f"## {row.title}\n\n`--cloud {row.name}`\n\n{Table(('', '')).of(rows)}"
