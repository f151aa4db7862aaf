"""Places and mistakes as rclone has them."""

import pytest

from launcher.runfolder.plan import Bucket
from launcher.runfolder.rclone import command, failure, remote

S3 = ":s3,env_auth=true,no_check_bucket=true,"


@pytest.mark.parametrize(
    ("bucket", "wanted"),
    [
        (Bucket("s3://some"), f'{S3}provider="AWS":some/run/x'),
        (Bucket("s3://some/deep/er/"), f'{S3}provider="AWS":some/deep/er/run/x'),
        (Bucket("s3://some", region="eu-west-1"), f'{S3}provider="AWS",region="eu-west-1":some/run/x'),
        (
            Bucket("s3://some/deep", "https://a.r2.example:443", "Cloudflare", "auto"),
            f'{S3}provider="Cloudflare",endpoint="https://a.r2.example:443",region="auto":some/deep/run/x',
        ),
        (
            Bucket("s3://some", 'http://h:1/a,b"c'),
            f'{S3}provider="Other",endpoint="http://h:1/a,b""c":some/run/x',
        ),
        (Bucket("mine:"), "mine:run/x"),
        (Bucket("mine:deep"), "mine:deep/run/x"),
        (Bucket(":local:/mnt/disk"), ":local:/mnt/disk/run/x"),
    ],
)
def test_a_place_in_a_bucket_has_a_name_of_rclone_s(bucket, wanted):
    assert remote(bucket, "run", "x") == wanted


def test_the_bucket_s_own_name_has_no_slash_of_ours():
    assert remote(Bucket("mine:")) == "mine:"


def test_only_a_named_remote_needs_rclone_s_configuration():
    assert command(Bucket("s3://some"), ["cat"])[-2:] == ["--config", ""]
    assert command(Bucket(":local:/x"), ["cat"])[-2:] == ["--config", ""]
    assert "--config" not in command(Bucket("mine:x"), ["cat"])


REFUSED = """2026/11/21 16:04:00 ERROR : : error listing: InvalidAccessKeyId: The key does not exist in our records.
	status code: 403, request id: 1, host id:
2026/11/21 16:04:00 Failed to cat with 2 errors: last error was: InvalidAccessKeyId: The key does not exist.
	status code: 403, request id: 1, host id:
"""
SILENT = """2026/11/21 16:03:35 Failed to cat: RequestError: send request failed
caused by: Get "http://127.0.0.1:5556/b?prefix=k": dial tcp 127.0.0.1:5556: connect: connection refused
"""


@pytest.mark.parametrize(
    ("log", "says", "hint", "lasting"),
    [
        (
            REFUSED,
            "InvalidAccessKeyId: The key does not exist.",
            "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and what they may do",
            True,
        ),
        (
            SILENT,
            "dial tcp 127.0.0.1:5556: connect: connection refused",
            "check `bucket` in site.yaml, and the network",
            False,
        ),
        (
            "2026/11/21 16:03:34 Failed to copyto: NoSuchBucket: The specified bucket does not exist\n\tstatus: 404",
            "NoSuchBucket: The specified bucket does not exist",
            "make the bucket first, or correct `bucket.url` in site.yaml",
            True,
        ),
        (
            'Failed to copy: a, caused by: "x": \nNoSuchBucket',
            "NoSuchBucket",
            "make the bucket first, or correct `bucket.url` in site.yaml",
            True,
        ),
        ("", "no message", "check `bucket` in site.yaml, and the network", False),
    ],
)
def test_a_mistake_is_a_sentence_and_lasts_or_not(log, says, hint, lasting):
    found = failure(log)
    assert (found.says, found.hint, found.lasting) == (says, hint, lasting)
