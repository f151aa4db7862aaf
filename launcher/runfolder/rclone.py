"""The program `rclone`, which copies to and from every object store: its command lines, and its errors as sentences."""

import os
import re
import subprocess
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from launcher.runfolder.plan import Bucket
from launcher.runfolder.processes import die_with_parent

S3 = "s3://"
KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
OPTIONS = ["--retries", "3", "--low-level-retries", "3", "--contimeout", "15s", "--copy-links", "--transfers", "4"]
PARTS = ["--s3-chunk-size", "64M"]
"""An object has at most 10,000 parts: 640 GB. Four files, four parts each: 1 GB of memory."""
POLL = 0.1
NONE: Mapping[str, str] = MappingProxyType({})
"""For a program whose environment has all credentials already."""
REFUSED = re.compile(
    r"InvalidAccessKeyId|SignatureDoesNotMatch|AccessDenied|NoCredentialProviders|status code: 403|Unauthorized"
)
NOWHERE = re.compile(r"NoSuchBucket|directory not found|didn't find section in config file")


class StoreError(Exception):
    """An operation on the store failed. `lasting`: another try changes nothing. `log` is rclone's whole output."""

    def __init__(self, says: str, hint: str, lasting: bool = False, log: str = ""):
        super().__init__(says)
        self.says, self.hint, self.lasting, self.log = says, hint, lasting, log


def remote(bucket: Bucket, *parts: str) -> str:
    """rclone's name for a path below the bucket's folder. No credential is in it."""
    base = bucket.url
    if base.startswith(S3):
        provider = "AWS" if bucket.endpoint is None and bucket.provider == "Other" else bucket.provider
        options = {"provider": provider, "endpoint": bucket.endpoint, "region": bucket.region}
        settings = ["env_auth=true", "no_check_bucket=true"]  # a key that may write may often not make a bucket
        settings += [f"{name}={_quoted(value)}" for name, value in options.items() if value]
        base = f":s3,{','.join(settings)}:{base.removeprefix(S3)}"
    slash = "" if base.endswith((":", "/")) else "/"
    return base + slash + "/".join(parts) if parts else base


def command(bucket: Bucket, arguments: Sequence[str]) -> list[str]:
    """An argument list. A bucket with all its settings needs no configuration file, and must not read a broken one."""
    return ["rclone", *arguments, *OPTIONS, *PARTS, *(["--config", ""] if bucket.url.startswith((S3, ":")) else [])]


def environment(secrets: Mapping[str, str]) -> dict[str, str]:
    """The environment for rclone. Its S3 fails if AWS_CA_BUNDLE is set: it reads RCLONE_CA_CERT instead."""
    env = {**os.environ, **secrets}
    bundle = env.pop("AWS_CA_BUNDLE", None)
    return {**({"RCLONE_CA_CERT": bundle} if bundle else {}), **env}


def rclone(
    bucket: Bucket,
    arguments: Sequence[str],
    text: str = "",
    secrets: Mapping[str, str] = NONE,
    stop: Callable[[], object] = bool,
) -> str:
    """What the command prints. It reads `text`, and has `secrets` in its environment. Raises StoreError, also if it was
    killed because `stop()` returned something true."""
    try:
        process = subprocess.Popen(
            command(bucket, arguments),
            env=environment(secrets),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            preexec_fn=die_with_parent,
        )
    except FileNotFoundError:
        raise missing_rclone() from None
    with process:
        while True:
            try:
                out, log = process.communicate(text, timeout=POLL)
                break
            except subprocess.TimeoutExpired:
                text = ""  # rclone gets it only once
                if stop():
                    process.kill()
    if process.returncode:
        raise failure(log)
    return out


def missing_rclone() -> StoreError:
    return StoreError("`rclone` is not installed here", "install it: rclone.org/install, `apt install rclone`", True)


def failure(log: str) -> StoreError:
    """The error that rclone's output ends with."""
    last = log[max(log.rfind("Failed to "), 0) :].strip()
    says = re.sub(r"^Failed to [^:]*: (?:last error was: )?", "", last)
    said = says.rpartition("caused by: ")[2].rpartition('": ')[2].strip()
    says = said.splitlines()[0] if said else "no message"
    if REFUSED.search(last):
        return StoreError(says, f"check {' and '.join(KEYS)}, and what they may do", True, log)
    if NOWHERE.search(last):
        return StoreError(says, "make the bucket first, or correct `bucket.url` in site.yaml", True, log)
    return StoreError(says, "check `bucket` in site.yaml, and the network", False, log)


def log_problem(problem: Exception) -> None:
    """Writes the problem to node.log, without the secrets of the environment."""
    text = problem.log if isinstance(problem, StoreError) else str(problem)
    for name in KEYS:
        text = text.replace(os.environ.get(name) or "\0", f"${name}")
    if text.strip():
        os.write(2, f"{text.strip()}\n".encode(errors="replace"))


def _quoted(value: str) -> str:
    """A value of a connection string (rclone.org/docs/#connection-strings)."""
    return f'"{value.replace(chr(34), chr(34) * 2)}"'
