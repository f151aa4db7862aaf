"""Samples as rows of tokens."""

import random

from recipes.common.stage.command import Mistake
from recipes.honest_persona.data_report import Report
from recipes.honest_persona.dataset import Row
from recipes.honest_persona.form import FLAGS
from recipes.honest_persona.schema import Sample
from recipes.honest_persona.selection import Settings
from recipes.honest_persona.tokenize import Coder, special_texts

DUMMIES = 1024


def encode(samples: list[Sample], coder: Coder, settings: Settings, report: Report) -> list[Row]:
    """A row for each sample that can be written and is not too long."""
    special, rows = special_texts(coder.tokenizer), []
    for sample in samples:
        system = "" if settings.exclude_system_prompt else sample.system
        texts = [system, sample.task, sample.answer, sample.intervention, sample.review]
        if any(special.search(text) for text in texts):
            report.drop(sample.topic, "holds the text of a special token")
            continue
        chat = coder.form.chat(system, sample.task, sample.answer, coder.turns.system)
        sequence = coder.sequence(chat, sample.intervention, sample.review, sample.flag)
        if sequence.tokens.count(coder.form.sp_token) > 1:
            raise Mistake(
                f"`sp_token` is `{coder.form.sp_token}`, which the texts of `{sample.id}` have too",
                "set `sp_token` to the id of a token that no text has",
            )
        if len(sequence.tokens) > settings.seq_len:
            report.drop(sample.topic, f"over {settings.seq_len:,} tokens")
            continue
        rows.append(Row(sample.id, sample.topic, sample.condition, sample.flag, *sequence))
    return rows


def dummies(settings: Settings, vocabulary: int) -> list[Row]:
    """Random tokens, of which all are learnt: to see whether a machine can train, and how fast."""
    draw = random.Random(settings.seed)
    return [
        Row(
            str(number),
            "dummy",
            "A",
            FLAGS[0],
            [draw.randrange(vocabulary) for _ in range(settings.seq_len)],
            1,
            settings.seq_len - 1,
            0,
        )
        for number in range(DUMMIES)
    ]
