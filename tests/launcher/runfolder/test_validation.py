import pytest

from launcher.runfolder.validation import inside, plain


@pytest.mark.parametrize("name", ["a", "a/b", ".a", "a.b", "...", "é", "-a", "a b/c"])
def test_a_name_that_stays_below_its_folder_is_inside(name):
    assert inside(name)


@pytest.mark.parametrize(
    "name", ["", ".", "..", "/", "/a", "a/", "a//b", "a/./b", "a/../b", "\0", "\ud800", "a" * 256, None, 3]
)
def test_a_name_that_leads_elsewhere_or_is_none_is_not(name):
    assert not inside(name) and not plain(name)


def test_a_plain_name_is_one_part_and_no_option():
    assert plain("a") and plain("a-b.c") and plain(".a")
    assert not plain("a/b") and not plain("-a") and not plain("--upload-pack=x")
