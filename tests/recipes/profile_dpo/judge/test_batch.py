"""The batch interface: a round is sent once, waited for by whoever comes, and costs half."""

import json

import pytest

from recipes.common.stage.command import Interrupted, StageError
from recipes.common.stage.journal import Journal
from recipes.profile_dpo.judge.ask import Asking, read_answers
from recipes.profile_dpo.judge.batch import BatchJudge
from recipes.profile_dpo.judge.endpoint import open_client

from ..conftest import completion


class Batches:
    """What the service does with files and batches; `polls` looks find a batch still at work."""

    def __init__(self, polls=0, status="completed", lost=()):
        self.polls, self.status, self.lost, self.sent = polls, status, lost, []

    def __call__(self, path, body):
        if path == "/v1/files":
            self.sent.append(body)
            return 200, {"id": f"file-{len(self.sent)}", "object": "file"}
        if path == "/v1/batches" and body:
            return 200, {"id": f"batch-{len(self.sent)}", "object": "batch", "status": "validating"}
        if path.startswith("/v1/batches/"):
            self.polls -= 1
            done = self.polls < 0
            output = "out" if done and self.status == "completed" else None
            status = self.status if done else "in_progress"
            return 200, {"id": "batch-1", "object": "batch", "status": status, "output_file_id": output}
        lines = [json.loads(line) for part in self.sent[-1:] for line in lines_of(part)]
        kept = [line for line in lines if line["custom_id"] not in self.lost]
        replies = [{"custom_id": one["custom_id"], "response": {"body": completion(2)}} for one in kept]
        return 200, "\n".join(map(json.dumps, replies)).encode()


def lines_of(form):
    """The JSON lines in a multipart form."""
    return [line for line in form.split(b"\n") if line.startswith(b'{"custom_id"')]


@pytest.fixture
def settle(tmp_path, judge_settings, questions):
    def settle(stop=lambda: False, **changes):
        settings = judge_settings(batched_rounds=1, **changes)
        journal, client = Journal(tmp_path), open_client(settings)
        asking = Asking(settings, journal, read_answers(journal), stop)
        try:
            return asking.settle(questions, BatchJudge(client, settings, tmp_path)), asking
        finally:
            client.close()

    return settle


def test_a_round_is_one_file_at_half_the_price(service, settle, questions):
    service.answer = batches = Batches(polls=2)
    found, asking = settle()
    assert found == {question.key: 2 for question in questions}
    (form,) = batches.sent
    lines = [json.loads(line) for line in lines_of(form)]
    assert [line["custom_id"] for line in lines] == [question.key for question in questions]
    assert lines[0]["url"] == "/v1/chat/completions" and lines[0]["body"]["messages"] == questions[0].chat
    assert asking.answers.dollars(asking.settings) == pytest.approx((600 * 5 + 60 * 15) / 1e6 / 2)


def test_a_stage_that_starts_again_waits_for_the_batch_that_is_on_its_way(service, settle):
    service.answer = batches = Batches(polls=3)
    with pytest.raises(Interrupted):
        settle(stop=lambda: any("/v1/batches/" in path for path, _ in service.asked))
    found, _ = settle()
    assert None not in found.values() and len(batches.sent) == 1


def test_what_a_batch_does_not_answer_is_sent_once_more(service, settle, questions):
    lost = questions[3].key
    service.answer = batches = Batches(lost=[lost])

    def second(path, body):
        if len(batches.sent) == 2:
            batches.lost = ()
        return batches(path, body)

    service.answer = second
    found, _ = settle()
    assert None not in found.values()
    assert [len(lines_of(form)) for form in batches.sent] == [6, 1]


def test_a_batch_that_fails_is_said_and_sent_again(service, settle):
    service.answer = batches = Batches(status="expired")
    with pytest.raises(StageError) as caught:
        settle()
    assert (caught.value.error, caught.value.hint) == (
        "the batch `batch-1` expired",
        "start the run again: it sends the batch again",
    )
    batches.status, batches.polls = "completed", 0
    found, _ = settle()
    assert None not in found.values() and len(batches.sent) == 2


def test_a_service_without_batches(service, settle):
    with pytest.raises(StageError) as caught:
        settle()
    assert caught.value.error == f"`{service.url}/v1` has no `any`"
