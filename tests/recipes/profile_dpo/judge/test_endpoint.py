"""A judge behind an endpoint that answers, or garbage, or late, or too often, or not at all: nothing is lost."""

import json
import threading

import pytest

from recipes.common.stage.command import Interrupted, StageError
from recipes.common.stage.journal import Journal
from recipes.profile_dpo.judge.ask import Asking, read_answers
from recipes.profile_dpo.judge.endpoint import EndpointJudge, open_client, pause

from ..conftest import completion


@pytest.fixture
def asking(tmp_path):
    """What a stage that starts has: its journal, read again."""

    def asking(settings, stop=lambda: False):
        journal = Journal(tmp_path)
        return Asking(settings, journal, read_answers(journal), stop)

    return asking


def settle(one, questions):
    with_client = open_client(one.settings)
    try:
        return one.settle(questions, EndpointJudge(with_client, one.settings))
    finally:
        with_client.close()


def test_every_question_is_answered_once_and_counted(service, judge_settings, questions, asking, monkeypatch):
    monkeypatch.setenv("JUDGE_API_KEY", "of-the-environment")
    service.answer = lambda path, body: (200, completion(2))
    one = asking(judge_settings())
    assert settle(one, questions) == {question.key: 2 for question in questions}
    assert len(service.asked) == 6 and {path for path, _ in service.asked} == {"/v1/chat/completions"}
    assert service.asked[0][1]["messages"] == questions[0].chat and service.asked[0][1]["max_tokens"] == 48
    assert {headers["authorization"] for headers in service.headers} == {"Bearer of-the-environment"}
    numbers = one.answers.numbers(one.settings)
    assert (numbers["tokens_in"], numbers["tokens_out"], numbers["garbage"]) == (600, 60, 0)
    assert numbers["dollars"] == round((600 * 5 + 60 * 15) / 1e6, 4) == 0.0039
    assert "of-the-environment" not in one.journal.path.read_text()


def test_a_service_without_a_key_and_without_counts(service, judge_settings, questions, asking, monkeypatch):
    monkeypatch.delenv("JUDGE_API_KEY", raising=False)
    service.answer = lambda path, body: (200, completion(1, usage=False))
    one = asking(judge_settings())
    settle(one, questions[:1])
    assert service.headers[0]["authorization"] == "Bearer none"
    text = json.dumps({"reasoning": "so", "preferred_profile": 1})
    assert (one.answers.tokens_in, one.answers.tokens_out) == (len("which one?") // 4, len(text) // 4)


def test_garbage_is_asked_again_and_paid_for(service, judge_settings, questions, asking):
    said = iter(["no", '{"preferred_profile": 0}', *[None] * 20])
    service.answer = lambda path, body: (200, completion(1, next(said)))
    one = asking(judge_settings(endpoint_parallel=1))
    assert settle(one, questions) == {question.key: 1 for question in questions}
    assert (len(service.asked), one.answers.garbage, one.answers.tokens_in) == (8, 2, 800)


def test_what_is_always_garbage_stays_unanswered_up_to_a_share(service, judge_settings, questions, asking):
    service.answer = lambda path, body: (200, completion(text="no"))
    assert settle(asking(judge_settings()), questions[:1]) == {questions[0].key: None}
    assert len(service.asked) == 3
    many = [questions[0]._replace(key=f"u/{number}>9") for number in range(11)]
    with pytest.raises(StageError) as caught:
        settle(asking(judge_settings()), many)
    assert caught.value.error == "the judge gave no answer to 11 of 11 questions, 3 times"
    assert caught.value.hint == (
        "read `text` in rows.jsonl of the stage's work folder; use another judge, or set `unanswered` higher"
    )
    asked = len(service.asked)
    settle(asking(judge_settings(unanswered=1.0)), many)
    assert len(service.asked) == asked, "a second start does not pay for the same garbage"


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_passing_refusal_is_waited_for(service, judge_settings, questions, asking, status):
    left = iter([status, status])
    service.answer = lambda path, body: (next(left, 200), completion())
    one = asking(judge_settings(endpoint_parallel=1))
    assert None not in settle(one, questions).values()
    assert (len(service.asked), one.answers.replies) == (8, 6)


def test_the_service_says_how_long_to_wait(service, judge_settings, questions):
    service.answer = lambda path, body: (429, {}, {"retry-after": "7"})
    client = open_client(judge_settings(endpoint_retries=0))
    with pytest.raises(Exception) as caught:
        client.chat.completions.create(model="any", messages=questions[0].chat)
    client.close()
    assert pause(caught.value, 1.0) == 7.0
    assert 0.75 <= pause(ValueError(), 1.0) <= 1.25


ERRORS = {
    429: (
        "the judge at `URL` refuses more requests for now",
        "set `endpoint_parallel` lower; start the run again later; it keeps the answers so far",
    ),
    500: ("the judge at `URL` answered 500", "start the run again later; it keeps the answers so far"),
    400: ("the judge at `URL` answered 400", "start the run again later; it keeps the answers so far"),
    401: ("the judge at `URL` refuses a request without a key", "set JUDGE_API_KEY to a key of that service"),
    404: ("`URL` has no `any`", "check `endpoint_url` and `endpoint_model`"),
}


@pytest.mark.parametrize("status", ERRORS)
def test_a_service_that_stays_in_trouble_ends_the_round_and_the_round_goes_on(
    service, judge_settings, questions, asking, monkeypatch, status
):
    monkeypatch.delenv("JUDGE_API_KEY", raising=False)
    good = iter([200, 200])
    service.answer = lambda path, body: (next(good, status), completion())
    settings = judge_settings(endpoint_parallel=1)
    with pytest.raises(StageError) as caught:
        settle(asking(settings), questions)
    error, hint = ERRORS[status]
    assert (caught.value.error, caught.value.hint) == (error.replace("URL", settings.endpoint_url), hint)
    asked = len(service.asked)
    service.answer = lambda path, body: (200, completion(2))
    again = asking(settings)
    assert list(settle(again, questions).values()) == [1, 1, 2, 2, 2, 2]
    assert len(service.asked) == asked + 4, "the two answers that were there are not asked for again"
    assert again.answers.tokens_in == 600


def test_a_service_that_is_down(judge_settings, questions, asking):
    settings = judge_settings(endpoint_url="http://127.0.0.1:9/v1")
    with pytest.raises(StageError) as caught:
        settle(asking(settings), questions)
    assert caught.value.error == "the judge at `http://127.0.0.1:9/v1` cannot be reached"


def test_a_service_that_is_too_slow(service, judge_settings, questions, asking):
    over = threading.Event()
    service.answer = lambda path, body: (over.wait(20) and 200, completion())
    settings = judge_settings(endpoint_timeout=0.05, endpoint_retries=1, endpoint_parallel=1)
    with pytest.raises(StageError) as caught:
        settle(asking(settings), questions)
    over.set()
    assert caught.value.error == f"the judge at `{service.url}/v1` took longer than 0.05 s, each time"


def test_a_body_that_is_no_completion_is_garbage(service, judge_settings, questions, asking):
    service.answer = lambda path, body: (200, {"hello": "world"})
    assert settle(asking(judge_settings(attempts=1)), questions[:2]) == dict.fromkeys(
        [question.key for question in questions[:2]]
    )


@pytest.mark.parametrize(
    ("limit", "says"),
    [
        ({"max_dollars": 0.0013}, "the judge has cost $0.00 so far, and `max_dollars` is 0.0013"),
        ({"max_tokens": 220}, "the judge has cost 220 tokens so far, and `max_tokens` is 220"),
    ],
)
def test_a_budget_stops_it_and_starting_again_allows_as_much_once_more(
    service, judge_settings, questions, asking, limit, says
):
    service.answer = lambda path, body: (200, completion())
    settings = judge_settings(endpoint_parallel=1, **limit)
    for done in (2, 4):
        with pytest.raises(StageError) as caught:
            settle(asking(settings), questions)
        assert (
            caught.value.hint == "start the run again to allow the same amount once more; it keeps the answers so far"
        )
        assert len(service.asked) == done
        if done == 2:
            assert caught.value.error == says
    assert None not in settle(asking(settings), questions).values()
    assert len(service.asked) == 6, "what is enough for all questions is enough"


def test_a_wish_to_stop_loses_no_answer(service, judge_settings, questions, asking):
    service.answer = lambda path, body: (200, completion())
    one = asking(judge_settings(endpoint_parallel=2), stop=lambda: len(service.asked) >= 2)
    with pytest.raises(Interrupted):
        settle(one, questions)
    assert len(service.asked) == len(one.journal.rows) < 6
    assert None not in settle(asking(judge_settings()), questions).values()
    assert len(service.asked) == 6
