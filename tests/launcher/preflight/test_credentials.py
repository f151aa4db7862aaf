import pytest

from launcher.config.slurm import SlurmSite
from launcher.preflight.access import cluster
from launcher.preflight.access import credentials as check
from launcher.preflight.finding import OK, REFUSED, UNKNOWN, Finding

RUNPOD = '[default]\napi_key = "abc"\n'


@pytest.fixture
def home(tmp_path):
    def make(runpod=None, lambda_=None):
        for name, text in ((".runpod/config.toml", runpod), (".lambda_cloud/lambda_keys", lambda_)):
            if text is not None:
                (tmp_path / name).parent.mkdir(exist_ok=True)
                (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
        return tmp_path

    return make


def test_the_files_that_skypilot_reads_are_named(home):
    place = home(RUNPOD, "api_key = abc\n")
    assert check(["runpod", "lambda"], place) == Finding(
        "credentials", OK, "~/.runpod/config.toml ~/.lambda_cloud/lambda_keys"
    )
    hint, says = "`sky check kubernetes` checks it", "not checked: SkyPilot's access to kubernetes"
    assert check(["kubernetes"], place) == Finding("credentials", UNKNOWN, says, hint)
    both = Finding("credentials", UNKNOWN, f"~/.runpod/config.toml {says}", hint)
    assert check(["runpod", "kubernetes"], place) == both


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (None, "does not exist"),
        (b"\xff", "cannot be read"),
        ("", "has no section `[default]`"),
        ('api_key = "abc"\n', "has no section `[default]`"),
        ("[default]\n", 'has no line `api_key = "KEY"` in its section `[default]`'),
        ("[default]\napi_key = abc\n", 'has no line `api_key = "KEY"` in its section `[default]`'),
        ('[default]\n[other]\napi_key = "abc"\n', 'has no line `api_key = "KEY"` in its section `[default]`'),
        ('[default]\n#api_key = "abc"\n', 'has no line `api_key = "KEY"` in its section `[default]`'),
    ],
)
def test_runpod_s_file_is_a_section_with_a_quoted_key(home, text, fault):
    assert check(["runpod"], home(text)) == Finding(
        "credentials",
        REFUSED,
        f"`~/.runpod/config.toml` {fault}",
        'make a key at console.runpod.io/user/settings, write `[default]` and `api_key = "KEY"` there, then '
        "`chmod 600 ~/.runpod/config.toml`",
    )


@pytest.mark.parametrize("text", [RUNPOD, "# mine\n[other]\n\n[default] # this\n  api_key='abc' # key\nx = 1\n[z]\n"])
def test_a_key_may_be_written_in_any_way_that_toml_has(home, text):
    assert check(["runpod"], home(text)).level == OK


@pytest.mark.parametrize(
    ("text", "fault"),
    [(None, "does not exist"), ("api_key=abc", "has no line `api_key = KEY`"), ("abc", "has no line `api_key = KEY`")],
)
def test_lambda_s_file_is_a_line_with_blanks_around_its_sign(home, text, fault):
    assert check(["runpod", "lambda"], home(RUNPOD, text)) == Finding(
        "credentials",
        REFUSED,
        f"`~/.lambda_cloud/lambda_keys` {fault}",
        "make a key at cloud.lambda.ai/api-keys, write `api_key = KEY`, with its spaces there, then "
        "`chmod 600 ~/.lambda_cloud/lambda_keys`",
    )


def test_skypilot_s_own_file_has_to_know_the_login_node(tmp_path):
    site = SlurmSite(via="sky", host="uc3", work="runs")
    assert cluster(site, tmp_path) == Finding(
        "credentials",
        REFUSED,
        "`~/.slurm/config` has no `Host uc3`",
        "write there: `Host uc3`, and below it `HostName`, `User` and `IdentityFile`, as in ~/.ssh/config",
    )
    (tmp_path / ".slurm").mkdir()
    (tmp_path / ".slurm/config").write_text("Host uc2 uc3\n  HostName uc3.scc.kit.edu\n")
    assert cluster(site, tmp_path) == Finding("credentials", OK, "~/.slurm/config")
