"""Downloads from the Hugging Face hub, at one revision, and the errors that the hub can answer with."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from recipes.common.stage.command import Mistake, StageError


@dataclass(frozen=True)
class Source:
    """Where a model comes from: a repository, a folder (its name starts with `/`, `.` or `~`), or `tiny`, which is made
    on the spot."""

    repo: str
    revision: str | None = None

    def __post_init__(self) -> None:
        if self.on_hub and not self.revision:
            raise ValueError(f"`{self.repo}` has no `revision`: name a commit, or `main`")

    @property
    def on_hub(self) -> bool:
        return self.repo != "tiny" and not self.repo.startswith(("/", ".", "~"))


def snapshot(
    repo: str, revision: str, cache: Path | None, patterns: tuple[str, ...], excluded: tuple[str, ...]
) -> Path:
    """A folder named after the commit, holding links to the files that match `patterns` and not `excluded`. A second
    call resumes what is missing.

    Only HF_TOKEN of the environment is sent, never a login saved on this machine: a run depends on what it names.
    """
    import huggingface_hub

    with explain_failures(repo, revision):
        folder = huggingface_hub.snapshot_download(
            repo,
            revision=revision,
            cache_dir=cache,
            allow_patterns=list(patterns),
            ignore_patterns=list(excluded),
            token=os.environ.get("HF_TOKEN") or False,
        )
    return Path(folder)


def dataset_file(repo: str, revision: str, file: str, cache: Path | None) -> Path:
    """One file of a data set at a revision, downloaded once; errors as for `snapshot`."""
    import huggingface_hub

    token = os.environ.get("HF_TOKEN") or False
    with explain_failures(f"datasets/{repo}", revision):
        path = huggingface_hub.hf_hub_download(
            repo, file, repo_type="dataset", revision=revision, cache_dir=cache, token=token
        )
    return Path(path)


@contextmanager
def explain_failures(repo: str, revision: str) -> Iterator[None]:
    """An error that the hub or the network causes in the block is raised as the one that explains it."""
    try:
        yield
    except Exception as problem:
        if sentence := explain(problem, repo, revision):
            raise sentence from problem
        raise


def explain(problem: Exception, repo: str, revision: str) -> StageError | None:
    """The error that explains a failed download; None when neither the hub nor the network caused it."""
    import httpx
    from huggingface_hub import constants, errors

    page = f"{constants.ENDPOINT}/{repo}"
    chain = [problem, problem.__cause__, problem.__context__]
    if isinstance(problem, errors.GatedRepoError):
        if os.environ.get("HF_TOKEN"):
            return Mistake(f"`{repo}` is gated and HF_TOKEN's account has no access", f"ask for access at {page}")
        return Mistake(
            f"`{repo}` is gated and HF_TOKEN is not set", f"accept its terms at {page} and set HF_TOKEN to a read token"
        )
    if isinstance(problem, errors.RepositoryNotFoundError):
        hint = "check the spelling; a private repository needs HF_TOKEN of an account that may read it"
        return Mistake(f"the hub has no repository `{repo}`", hint)
    if isinstance(problem, errors.RevisionNotFoundError):
        return Mistake(f"`{repo}` has no revision `{revision}`", f"its commits are listed at {page}/commits/main")
    if isinstance(problem, errors.HFValidationError):
        return Mistake(f"`{repo}` is not a repository's name", "write `owner/name`, or a folder that starts with `/`")
    if any(isinstance(error, errors.OfflineModeIsEnabled) for error in chain):
        return Mistake(f"`{repo}` is to be downloaded, but HF_HUB_OFFLINE is set", "unset HF_HUB_OFFLINE")
    if isinstance(problem, errors.HfHubHTTPError):
        if problem.response.status_code in (401, 403):
            return Mistake(f"the hub refuses HF_TOKEN for `{repo}`", "set HF_TOKEN to a token that can read it")
        error = f"the hub answered {problem.response.status_code} for `{repo}`"
        return StageError(error, "start the run again later: finished files are kept")
    if isinstance(problem, (httpx.TransportError, errors.LocalEntryNotFoundError)):
        error = f"{constants.ENDPOINT} cannot be reached for `{repo}`"
        return StageError(error, "check the network and start the run again: finished files are kept")
    return None
