from pathlib import Path

import pytest

from launcher.clouds.providers import clouds_of
from launcher.config.site import BucketSite, BudgetSite, SiteFile, read_site, site_path


def test_the_site_file_s_place_is_the_user_s_configuration_folder():
    assert site_path({"XDG_CONFIG_HOME": "/x", "HOME": "/h"}) == Path("/x/launcher/site.yaml")
    assert site_path({"HOME": "/h"}) == Path("/h/.config/launcher/site.yaml")
    assert site_path({"XDG_CONFIG_HOME": "", "HOME": "/h"}) == Path("/h/.config/launcher/site.yaml")


def test_without_a_site_file_there_are_defaults(tmp_path):
    found = read_site(tmp_path / "none.yaml")
    assert found == SiteFile()
    assert (found.runs, found.local_store) == (Path("runs"), Path("runs/.store"))


def test_a_site_file_says_where_and_for_how_much(tmp_path):
    (tmp_path / "site.yaml").write_text("runs: ~/r\nstore: ~/big\nlocal: {python: /p}\nbudget: {max_cost: 5}\n")
    found = read_site(tmp_path / "site.yaml")
    assert found.local_store == Path.home() / "big"
    assert found.local.python == "/p"
    assert found.budget == BudgetSite(max_cost=5.0)
    assert SiteFile(runs=Path("~/r")).local_store == Path.home() / "r/.store"


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("bugdet: {}", "unknown key `bugdet`\n\nhint: did you mean `budget`?"),
        ("local: {pyton: a}", "unknown key `pyton` under `local`\n\nhint: did you mean `python`?"),
        (
            "budget: {max_cost: 0}",
            "`budget.max_cost` is `0`: input should be greater than 0\n\nhint: correct `budget.max_cost`",
        ),
        (
            "bucket: {url: some-bucket}",
            "`bucket.url` is `'some-bucket'`: say `s3://BUCKET/FOLDER`, or an rclone remote, `NAME:FOLDER`\n\n"
            "hint: correct `bucket.url`",
        ),
        (
            "registry_login: {username: a}",
            "the key `registry_login.password` is missing\n\nhint: add `password:`",
        ),
    ],
)
def test_a_wrong_site_file_is_a_sentence(tmp_path, refusal, text, error):
    path = tmp_path / "site.yaml"
    path.write_text(text)
    assert refusal(read_site, path) == f"error: `{path}`: {error}"


def test_a_secret_is_named_by_where_it_is(tmp_path):
    path = tmp_path / "site.yaml"
    path.write_text(
        "registry: ghcr.io/acme\nregistry_login: {username: me, password: 'file:~/.ghcr'}\n"
        "secrets: {HF_TOKEN: 'env:MY_TOKEN', A: 'keyring:some service/me', B: 'file:/a b', C: 'netrc:api.wandb.ai'}\n"
    )
    found = read_site(path)
    assert list(found.secrets.values()) == [
        "env:MY_TOKEN",
        "keyring:some service/me",
        "file:/a b",
        "netrc:api.wandb.ai",
    ]
    assert (found.registry_login.username, found.registry_login.password) == ("me", "file:~/.ghcr")


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("secrets: {HF_TOKEN: hf_veryverysecret}", "secrets.HF_TOKEN"),
        ("secrets: {HF_TOKEN: 'env:hf very secret'}", "secrets.HF_TOKEN"),
        ("secrets: {HF_TOKEN: 'keyring:verysecret'}", "secrets.HF_TOKEN"),
        ("secrets: {HF_TOKEN: {env: verysecret}}", "secrets.HF_TOKEN"),
        ("secrets: hf_veryverysecret", "secrets"),
        ("registry_login: {username: a, password: verysecret}", "registry_login.password"),
    ],
)
def test_a_secret_s_value_is_refused_and_not_repeated(tmp_path, refusal, text, key):
    path = tmp_path / "site.yaml"
    path.write_text(text)
    assert refusal(read_site, path) == (
        f"error: site.yaml: `{key}` is not a reference\n\nhint: say where the value is: `env:NAME`, `file:PATH`, "
        "`keyring:SERVICE/USER` or `netrc:HOST`; the value itself does not belong there"
    )


def test_several_clouds_are_one_word_with_commas():
    assert clouds_of("local") == ("local",)
    assert clouds_of("runpod,lambda") == ("runpod", "lambda")
    assert clouds_of("runpod, lambda,runpod") == ("runpod", "lambda")


@pytest.mark.parametrize(
    ("word", "error"),
    [
        ("runpot", "unknown cloud `runpot`\n\nhint: did you mean `runpod`?"),
        ("runpod,lamda", "unknown cloud `lamda`\n\nhint: did you mean `lambda`?"),
        (
            "runpod,",
            "unknown cloud ``\n\nhint: choose one of `docker`, `lambda`, `local`, `runpod`, `slurm`",
        ),
        (
            "local,runpod",
            "`local` is this machine, and not one of several clouds\n\nhint: `--cloud runpod` without it",
        ),
        (
            "docker,local",
            "`docker` is this machine, and not one of several clouds\n\nhint: `--cloud docker` without it",
        ),
    ],
)
def test_a_wrong_word_for_a_cloud_is_a_sentence(refusal, word, error):
    assert refusal(clouds_of, word) == f"error: {error}"


@pytest.mark.parametrize(
    "url", ["s3://some", "s3://some/deep/er", "mine:", "mine:deep", ":local:/mnt/disk", ":sftp,host=h:x"]
)
def test_a_bucket_is_an_s3_address_or_a_remote_of_rclone_s(url):
    assert BucketSite(url=url).provider == "Other"


def test_a_credential_in_a_bucket_s_address_is_refused_without_being_shown(tmp_path, refusal):
    path = tmp_path / "site.yaml"
    path.write_text("bucket: {url: ':s3,secret_access_key=hidden:some'}")
    assert refusal(read_site, path) == (
        "error: site.yaml: `bucket.url` holds a credential\n\n"
        "hint: give it in the environment, or in rclone's own settings"
    )
