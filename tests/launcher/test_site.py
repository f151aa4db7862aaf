from pathlib import Path

import pytest

from launcher.site import BudgetSite, SiteFile, read_site, site_path


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
    ],
)
def test_a_wrong_site_file_is_a_sentence(tmp_path, refusal, text, error):
    path = tmp_path / "site.yaml"
    path.write_text(text)
    assert refusal(read_site, path) == f"error: `{path}`: {error}"
