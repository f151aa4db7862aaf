"""Authors from the user's file and from OpenAlex, examples, and who is held out."""

import json
from pathlib import Path

import pytest

from recipes.common.stage.command import Interrupted
from recipes.profile_dpo import authors
from recipes.profile_dpo.openalex import Author, OpenAlex, abstract
from recipes.profile_dpo.papers import Paper, Query, by_author, read
from recipes.profile_dpo.preflight import template

from .conftest import SAMPLE

SETTINGS = {
    "papers": 2,
    "examples": 1,
    "preferences": 12,
    "candidates": 4,
    "held_out": 2,
    "mailto": None,
    "openalex_url": "http://127.0.0.1:9",
    "seed": 1,
}
TEXT = "We measure how the tides mix the water of a bay with the water of a river, for years and in every weather."


def write(path: Path, rows) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def run(tmp_path):
    """The stage, on rows of papers; its OUT."""

    def run(papers, **changes):
        settings = tmp_path / "settings.json"
        settings.write_text(json.dumps(SETTINGS | changes))
        file = papers if isinstance(papers, Path) else write(tmp_path / "papers.jsonl", papers)
        places = {
            "papers": file,
            "examples": SAMPLE / "examples.jsonl",
            "out": tmp_path / "out",
            "work": tmp_path / "work",
        }
        authors.main([str(settings), *(word for name, place in places.items() for word in (f"--{name}", str(place)))])
        return tmp_path / "out"

    return run


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_nobody_is_both_learnt_from_and_held_out(run):
    out = run(SAMPLE / "papers.jsonl")
    train, held = lines(out / "train.jsonl"), lines(out / "held_out.jsonl")
    assert len(train) == 3, "three tournaments of four give twelve preferences"
    assert len(held) == 2 and not {one["unit"] for one in train} & {one["unit"] for one in held}
    numbers = json.loads((out / "metrics.json").read_text())
    assert (numbers["authors"], numbers["too_few_papers"], numbers["wanted"]) == (10, 1, 3)
    text = train[0]["prompt"][0]["content"]
    assert all(one in text for one in train[0]["abstracts"]) and text.count("Example of abstracts:") == 1


def test_the_same_seed_holds_out_the_same_authors(run):
    first = (run(SAMPLE / "papers.jsonl") / "held_out.jsonl").read_text()
    assert (run(SAMPLE / "papers.jsonl") / "held_out.jsonl").read_text() == first
    assert (run(SAMPLE / "papers.jsonl", seed=2) / "held_out.jsonl").read_text() != first


def test_too_few_authors_for_the_preferences_are_a_warning(run, tmp_path):
    run(SAMPLE / "papers.jsonl", preferences=400)
    said = [one for one in lines(tmp_path / "work/progress.jsonl") if "warning" in one]
    assert said[0]["warning"] == "only 8 authors to learn from: 400 preferences need 100"


def test_an_example_is_not_shown_to_its_own_author():
    examples = authors.read_examples(SAMPLE / "examples.jsonl")
    own = examples[2]["abstracts"]
    found = authors.unit("a", own, examples, authors.Nearest([" ".join(one["abstracts"]) for one in examples]), 1)
    assert found["prompt"][0]["content"].count(own[0]) == 1


def test_abstracts_are_cut_made_one_line_and_counted_once():
    papers = [
        Paper("a", "t", TEXT),
        Paper("a", "t", f"  {TEXT}\n"),
        Paper("a", "t", "too short"),
        Paper("b", "t", TEXT),
    ]
    assert by_author(papers, 1) == {"a": [TEXT], "b": [TEXT]}
    assert by_author(papers, 2) == {}
    assert len(by_author([Paper("a", "t", "long " * 1000)], 1)["a"][0]) == 2000


ROW = 'a row is {"author", "title", "abstract"}, or {"openalex": FILTER, "authors": NUMBER}'


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"author": "a", "title": "t"}, "line 1: `abstract` `null` is not text"),
        ({"author": "", "title": "t", "abstract": TEXT}, 'line 1: `author` `""` is empty'),
        ({"openalex": "works_count:>9"}, "line 1: `authors` `null` is not a whole number from 1 on"),
        ([1], "line 1: is not a JSON object"),
    ],
)
def test_a_row_that_is_neither_is_named(run, refusal, tmp_path, row, says):
    assert refusal(run, [row]) == f"error: `{tmp_path / 'papers.jsonl'}`: {says}\n\nhint: {ROW}"


def test_no_rows_and_too_few_authors(run, refusal, tmp_path):
    path = tmp_path / "papers.jsonl"
    assert refusal(run, []) == f"error: `{path}` has no rows\n\nhint: give papers with their abstracts"
    rows = [{"author": "a", "title": "t", "abstract": f"{number} {TEXT}"} for number in range(3)]
    assert refusal(run, rows) == (
        "error: 1 authors have 2 abstracts, and `held_out` is 2\n\n"
        "hint: give papers of more authors, or set `papers` or `held_out` lower"
    )


def test_an_example_without_a_profile_is_named(refusal, tmp_path):
    path = write(tmp_path / "examples.jsonl", [{"abstracts": [TEXT], "profile": "good"}])
    hint = 'a row is {"abstracts": [...], "profile": "Domain: ..."}'
    assert refusal(authors.read_examples, path) == f"error: `{path}`: line 1: no domain\n\nhint: {hint}"
    write(path, [{"abstracts": [TEXT]}])
    assert refusal(authors.read_examples, path) == f"error: `{path}`: line 1: no profile\n\nhint: {hint}"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"papers": 0}, "`papers` is `0`, less than 1"),
        ({"candidates": 1}, "`candidates` is `1`, less than 2"),
        ({"examples": -1}, "`examples` is `-1`, less than 0"),
        ({"mailto": "me"}, "`mailto` is `me`, which is not a mail address"),
    ],
)
def test_settings_that_cannot_be(change, says):
    with pytest.raises(ValueError) as caught:
        authors.Settings(**SETTINGS | change)
    assert str(caught.value) == says


def test_openalex_has_to_learn_who_asks(run, refusal):
    assert refusal(run, [{"openalex": "works_count:>9", "authors": 3}]) == (
        "error: papers are downloaded from OpenAlex, which needs `mailto`\n\n"
        "hint: add `--set mailto=you@example.org`, with your own address"
    )


def index(text):
    found = {}
    for place, word in enumerate(text.split()):
        found.setdefault(word, []).append(place)
    return found


def alex(path, _):
    """What OpenAlex answers: four authors, with two papers each."""
    if path.startswith("/authors"):
        return 200, {"results": [{"id": f"https://openalex.org/A{n}", "display_name": f"N{n}"} for n in range(4)]}
    works = [{"title": f"t{n}", "abstract_inverted_index": index(f"{path[-9:]} {n} {TEXT} {TEXT}")} for n in range(3)]
    return 200, {"results": [*works, {"title": "t", "abstract_inverted_index": None}]}


ROWS = [{"openalex": "works_count:>9", "authors": 4}]


def test_papers_come_from_openalex_politely(run, service, monkeypatch):
    monkeypatch.setenv("OPENALEX_API_KEY", "free")
    service.answer = alex
    out = run(ROWS, openalex_url=service.url, mailto="me@example.org")
    assert len(lines(out / "train.jsonl")) == 2 and lines(out / "held_out.jsonl")[0]["unit"].startswith("N")
    asked = len(service.asked)
    again = run(out / "papers.jsonl")
    assert len(lines(again / "train.jsonl")) == 2 and len(service.asked) == asked, "its papers are a file to be given"
    first, second = service.asked[0][0], service.asked[1][0]
    assert first.startswith("/authors?filter=works_count%3A%3E9&sample=4&seed=1&")
    assert "filter=authorships.author.id%3AA0%2Clanguage%3Aen" in second and "sort=cited_by_count%3Adesc" in second
    assert all("mailto=me%40example.org&api_key=free" in path for path, _ in service.asked)
    assert all("mailto:me@example.org" in one["user-agent"] for one in service.headers)
    assert abstract(index("the sea and the tide")) == "the sea and the tide"


def test_a_second_start_fetches_only_what_is_missing(run, service, refusal, monkeypatch):
    monkeypatch.setattr(OpenAlex.__init__, "__defaults__", (0.001,))
    monkeypatch.delenv("OPENALEX_API_KEY", raising=False)
    down = [False]
    service.answer = lambda path, body: (503, {}) if down[0] and "A2" in path else alex(path, body)
    down[0] = True
    given = {"openalex_url": service.url, "mailto": "me@example.org"}
    assert refusal(run, ROWS, **given) == (
        f"error: `{service.url}` answered 503, 6 times\n\n"
        "hint: set OPENALEX_API_KEY (free, openalex.org/settings/api), or start the run again tomorrow"
    )
    down[0] = False
    before = len(service.asked)
    run(ROWS, **given)
    assert [path for path, _ in service.asked[before:] if "A0%2C" in path or "A1%2C" in path] == []


def test_a_wish_to_stop_keeps_the_authors_that_are_there(service, tmp_path):
    service.answer = alex
    stops = iter([False, True])
    settings = authors.Settings(**SETTINGS)
    journal = authors.Journal(tmp_path)
    asked = (OpenAlex(service.url, "me@example.org", None), [Query("f", 4)], settings, journal)
    with pytest.raises(Interrupted) as caught:
        authors.fetch(*asked, authors.Progress(tmp_path), lambda: next(stops))
    assert str(caught.value) == "1 of 4 authors are fetched" and len(journal.rows) == 1


@pytest.mark.parametrize(
    ("status", "body", "says"),
    [
        (
            400,
            {"message": "no such field"},
            "error: OpenAlex answered 400: no such field\n\nhint: correct the row's `openalex` filter",
        ),
        (
            401,
            {},
            "error: OpenAlex refuses the requests: Unauthorized\n\nhint: set OPENALEX_API_KEY to a key of your account",
        ),
        (200, {"a": 1}, "error: `URL` does not answer as OpenAlex does\n\nhint: check `openalex_url`"),
        (200, b"<html>", "error: `URL` does not answer as OpenAlex does\n\nhint: check `openalex_url`"),
        (
            429,
            {},
            "error: `URL` answered 429, 6 times\n\nhint: start the run again later; it keeps the authors so far",
        ),
    ],
)
def test_what_openalex_refuses_is_said(service, refusal, status, body, says):
    service.answer = lambda path, _: (status, body)
    asking = OpenAlex(service.url, "me@example.org", "key", pause=0.001)
    assert refusal(asking.papers, Author("A1", "N"), 3) == says.replace("URL", service.url)


def test_an_openalex_that_is_not_there(refusal):
    asking = OpenAlex("http://127.0.0.1:9", "me@example.org", "key", pause=0.001)
    assert refusal(asking.papers, Author("A1", "N"), 3).startswith(
        "error: `http://127.0.0.1:9` cannot be reached (ConnectError), 6 times\n"
    )


def test_the_look_before_the_launch(tmp_path, monkeypatch, capsys, refusal):
    files = {"settings": SETTINGS, "generate": {"prompt_tokens": 1400}, "model": {"repo": "tiny"}}
    for name, value in files.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(value))

    def look(papers):
        argv = ["texts", str(tmp_path / "settings.json"), "--generate", str(tmp_path / "generate.json")]
        argv += ["--model", str(tmp_path / "model.json"), "--papers", str(papers)]
        monkeypatch.setattr("sys.argv", [*argv, "--examples", str(SAMPLE / "examples.jsonl")])
        template.main()
        return capsys.readouterr().out

    made = "3 authors to learn from, 2 held out; the model and its chat template are made on the spot\n"
    assert look(SAMPLE / "papers.jsonl") == made
    assert "which needs `mailto`" in refusal(look, SAMPLE / "openalex.jsonl")
    (tmp_path / "settings.json").write_text(json.dumps(SETTINGS | {"mailto": "me@example.org"}))
    assert look(SAMPLE / "openalex.jsonl") == "400 authors from OpenAlex; `mailto` is me@example.org\n"


def test_the_shipped_files_are_what_they_should_be():
    papers, queries = read(SAMPLE / "papers.jsonl")
    assert len(by_author(papers, 3)) == 10 and not queries
    assert read(SAMPLE / "openalex.jsonl")[1][0].authors == 400
    assert len(authors.read_examples(SAMPLE / "examples.jsonl")) == 8
