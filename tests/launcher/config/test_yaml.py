import pytest
from pydantic import Field

from launcher.config.yaml import Strict, check, parse, read


class Inner(Strict):
    train_batch: int = 1
    rate: float = Field(default=1.0, gt=0)


class Outer(Strict):
    name: str
    inner: Inner | None = None
    table: dict[str, Inner] = {}
    deep: dict[str, dict[str, Inner]] = {}
    words: list[str] = []


@pytest.fixture
def said(tmp_path, refusal):
    """The whole error about a document, its path written FILE."""

    def said(text):
        path = tmp_path / "a.yaml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return refusal(read, path, Outer).replace(str(path), "FILE")

    return said


def test_a_document_is_read_as_its_model(tmp_path):
    (tmp_path / "a.yaml").write_text("name: é\ninner: {rate: 2}\nwords: [a]\n", encoding="utf-8")
    assert read(tmp_path / "a.yaml", Outer) == Outer(name="é", inner=Inner(rate=2.0), words=["a"])


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("name: a\ninnr: {}", "error: `FILE`: unknown key `innr`\n\nhint: did you mean `inner`?"),
        (
            "name: a\nzzz: {}",
            "error: `FILE`: unknown key `zzz`\n\nhint: choose one of `deep`, `inner`, `name`, `table`, `words`",
        ),
        (
            "name: a\ninner: {trainbatch: 2}",
            "error: `FILE`: unknown key `trainbatch` under `inner`\n\nhint: did you mean `train_batch`?",
        ),
        (
            "name: a\ntable: {some: {trainbatch: 2}}",
            "error: `FILE`: unknown key `trainbatch` under `table.some`\n\nhint: did you mean `train_batch`?",
        ),
        (
            "name: a\ndeep: {some: {other: {raet: 2}}}",
            "error: `FILE`: unknown key `raet` under `deep.some.other`\n\nhint: did you mean `rate`?",
        ),
        ("inner: {}", "error: `FILE`: the key `name` is missing\n\nhint: add `name:`"),
        ("name: 3", "error: `FILE`: `name` is `3`: input should be a valid string\n\nhint: correct `name`"),
        (
            "name: a\ninner: {rate: fast}",
            "error: `FILE`: `inner.rate` is `'fast'`: input should be a valid number, unable to parse "
            "string as a number\n\nhint: correct `inner.rate`",
        ),
        (
            "name: a\ninner: {rate: 0}",
            "error: `FILE`: `inner.rate` is `0`: input should be greater than 0\n\nhint: correct `inner.rate`",
        ),
        (
            "name: a\ninner: {rate: .inf}",
            "error: `FILE`: `inner.rate` is `inf`: input should be a finite number\n\nhint: correct `inner.rate`",
        ),
        (
            "name: a\nwords: [b, null]",
            "error: `FILE`: `words.1` is `nothing`: input should be a valid string\n\nhint: correct `words.1`",
        ),
        (
            f"name: [{'x' * 80}]",
            f"error: `FILE`: `name` is `['{'x' * 58}…`: input should be a valid string\n\nhint: correct `name`",
        ),
        ("", "error: `FILE` holds `nothing`, not keys and values\n\nhint: see docs/reference"),
        ("- a\n", "error: `FILE` holds `['a']`, not keys and values\n\nhint: see docs/reference"),
        ("name: a\nname: b\n", "error: `FILE`, line 2: the key `name` is given twice\n\nhint: correct the YAML there"),
        (
            "name: a\ninner:\n  rate: 1\n  rate: 1\n",
            "error: `FILE`, line 4: the key `rate` is given twice\n\nhint: correct the YAML there",
        ),
        (
            "name: a\nb: c: d\n",
            "error: `FILE`, line 2: mapping values are not allowed in this context\n\nhint: correct the YAML there",
        ),
        (
            "name: a\non: 1\n",
            "error: `FILE`, line 2: the key `on` is not text: put it in quotes\n\nhint: correct the YAML there",
        ),
        (
            "name: a\n[b]: 1\n",
            "error: `FILE`, line 2: the key `seq` is not text: put it in quotes\n\nhint: correct the YAML there",
        ),
        (
            "name: !!set {a}\n",
            "error: `FILE`, line 1: `set` is not allowed as a value here\n\nhint: correct the YAML there",
        ),
        (
            "name: !own a\n",
            "error: `FILE`, line 1: `!own` is not allowed as a value here\n\nhint: correct the YAML there",
        ),
        (b"name: a\xff", "error: `FILE` is not UTF-8 (byte 7)\n\nhint: save it as UTF-8"),
    ],
)
def test_a_fault_is_a_sentence_that_names_the_key(said, text, error):
    assert said(text) == error


def test_a_file_that_is_absent_or_a_folder_is_a_sentence(tmp_path, refusal):
    assert refusal(read, tmp_path / "b.yaml", Outer) == (
        f"error: `{tmp_path / 'b.yaml'}` does not exist\n\nhint: check the name and the folder you are in"
    )
    assert refusal(read, tmp_path, Outer) == (
        f"error: `{tmp_path}` cannot be read: Is a directory\n\nhint: check who may read it"
    )


@pytest.mark.parametrize(
    ("text", "value"),
    [("1e-6", 1e-6), ("1E6", 1e6), ("-2e+3", -2000.0), ("1.5e3", 1500.0), ("1_0e2", 1000.0), ("1.0", 1.0), ("3", 3)],
)
def test_a_number_is_a_number_however_it_is_written(text, value):
    found = parse(text)
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize("text", ["1e", "e5", "1e-6x", "2024-01-02", "2024-13-45", "2024-01-02 10:00:00"])
def test_what_only_looks_like_a_number_or_a_date_is_a_text(text):
    assert parse(text) == text


def test_a_merged_key_may_be_overridden_once_at_any_depth():
    text = "a: &a {x: 1, z: 0}\nouter: {b: &b {<<: *a, x: 2}}\nc: {<<: *b, y: 3}\nd: *b\n"
    assert parse(text) == {
        "a": {"x": 1, "z": 0},
        "outer": {"b": {"x": 2, "z": 0}},
        "c": {"x": 2, "y": 3, "z": 0},
        "d": {"x": 2, "z": 0},
    }


def test_checking_a_plain_value_names_where_it_came_from(refusal):
    assert refusal(check, {"nam": "a"}, Outer, "there").startswith("error: `there`: the key `name` is missing")
    assert check({"name": "a"}, Outer, "there").name == "a"
