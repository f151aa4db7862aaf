"""Uploads the export to the hub, with the user's token. No other stage needs this one.

    python -m recipes.synthetic_instruct.push SETTINGS.json --model EXPORT --out OUT

The repository is made where there is none, private unless `hub_private` is false. OUT holds metrics.json with the
commit.
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from recipes.common.data import hub
from recipes.common.stage.command import Mistake, run
from recipes.common.stage.files import write_json
from recipes.common.stage.inputs import POSITIONAL, read_stage

REPO = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


@dataclass(frozen=True)
class Settings:
    """The stage's JSON, key by key."""

    hub_repo: str | None
    hub_private: bool

    def __post_init__(self) -> None:
        if self.hub_repo is None or not REPO.fullmatch(self.hub_repo):
            raise ValueError(f"`hub_repo` is `{self.hub_repo}`: write `owner/name` of your own")


@dataclass(frozen=True, kw_only=True)
class Inputs:
    settings: Annotated[Path, POSITIONAL]
    model: Path
    out: Path


def main(argv: list[str] | None = None) -> None:
    """Runs the stage."""
    inputs, settings = read_stage(__doc__, Inputs, Settings, argv)
    token = os.environ.get("HF_TOKEN")
    if not token:
        raise Mistake("HF_TOKEN is not set", "set it to a token that may write to your account")
    commit = push(inputs.model, str(settings.hub_repo), settings.hub_private, token)
    write_json(inputs.out / "metrics.json", {"repo": settings.hub_repo, "commit": commit})
    print(f"{settings.hub_repo}@{commit}")


def push(folder: Path, repo: str, private: bool, token: str) -> str:
    """Uploads the folder to the repository and returns the commit. Files that the hub has are not sent again."""
    import huggingface_hub

    api = huggingface_hub.HfApi(token=token)
    with hub.explain_failures(repo, "main"):
        api.create_repo(repo, private=private, exist_ok=True)
        return api.upload_folder(repo_id=repo, folder_path=folder, commit_message="Upload the exported model").oid


if __name__ == "__main__":
    run(main)
