"""What an installed launcher has with it."""

import tomllib


def test_every_file_that_is_no_program_is_packaged(project):
    listed = tomllib.loads((project / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]["launcher"]
    package = project / "launcher"
    others = [path for path in package.rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc")]
    assert sorted(path.relative_to(package).as_posix() for path in others) == sorted(listed)
