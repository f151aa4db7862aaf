"""What a git ref or a model revision stands for right now, asked of the server."""

import os
import subprocess
from collections.abc import Sequence

from launcher.config.pins import COMMIT, Pins, is_local
from launcher.config.recipe import Recipe
from launcher.errors import LaunchError

PATIENCE = 30
"""Seconds."""
SSH = "ssh -o BatchMode=yes -o ConnectTimeout=10"


def resolve(recipe: Recipe) -> Pins:
    """The commits of every git source and hub model the recipe names. Raises LaunchError when one cannot be had."""
    sources = {
        f"{pin.git}@{pin.ref}": git_commit(pin.git, pin.ref)
        for pin in recipe.file.sources.values()
        if not COMMIT.fullmatch(pin.ref)
    }
    hub = {**recipe.file.models, **recipe.change.models}.values()
    models = {
        f"{pin.repo}@{pin.revision}": model_commit(pin.repo, pin.revision)
        for pin in hub
        if not COMMIT.fullmatch(pin.revision) and not is_local(pin.repo)
    }
    return Pins(sources, models)


def git_commit(git: str, ref: str) -> str:
    """The commit that a branch or tag of a repository points to; of an annotated tag, the commit it names."""
    names = [f"refs/heads/{ref}", f"refs/tags/{ref}^{{}}", f"refs/tags/{ref}"]
    refs = git_refs(git, names)
    for name in names:
        if name in refs:
            return refs[name]
    raise LaunchError(f"`{git}` has no branch or tag `{ref}`", f"see `git ls-remote {git}`")


def git_refs(git: str, names: Sequence[str]) -> dict[str, str]:
    """The repository's refs of these names, with their commits. Raises LaunchError when it cannot be read; it asks for
    no password, and waits no longer than PATIENCE."""
    env = {"GIT_TERMINAL_PROMPT": "0", "GIT_SSH_COMMAND": os.environ.get("GIT_SSH_COMMAND") or SSH}
    argv = ["git", "ls-remote", "--", git, *names]
    try:
        done = subprocess.run(
            argv, env={**os.environ, **env}, capture_output=True, text=True, timeout=PATIENCE, check=False
        )
    except FileNotFoundError:
        raise LaunchError("`git` is not installed", "install git") from None
    except subprocess.TimeoutExpired:
        raise LaunchError(f"`{git}` did not answer within {PATIENCE} s", "check your connection") from None
    if done.returncode:
        said = " ".join(done.stderr.partition("Please make sure")[0].split())
        reason = said.removesuffix(" fatal: Could not read from remote repository.") or "no answer"
        raise LaunchError(f"`{git}` cannot be read: {reason}", "check the address and your access")
    return {name: commit for commit, _, name in (line.partition("\t") for line in done.stdout.splitlines())}


def model_commit(repo: str, revision: str) -> str:
    """The hub's commit of a model's revision (HF_ENDPOINT and HF_TOKEN are respected)."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

    try:
        commit = HfApi().model_info(repo, revision=revision).sha
    except RevisionNotFoundError:
        raise LaunchError(f"`{repo}` has no revision `{revision}`", "see the model's page for its branches") from None
    except GatedRepoError:
        raise LaunchError(f"`{repo}` is gated", "accept its terms on its page and set HF_TOKEN") from None
    except RepositoryNotFoundError:
        raise LaunchError(f"the hub has no model `{repo}`", "check the name; a private one needs HF_TOKEN") from None
    except Exception as problem:  # which one depends on the HTTP library the hub client uses
        reason = str(problem).strip().partition("\n")[0]
        raise LaunchError(f"the hub cannot be asked about `{repo}`: {reason}", "check your connection") from None
    if not commit:
        raise LaunchError(f"the hub gave no commit for `{repo}@{revision}`", "pin a commit in the recipe")
    return commit
