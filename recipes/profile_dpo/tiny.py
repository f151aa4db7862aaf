"""The rehearsal's models: two layers, taught to write something like a profile, or like a judge's answer."""

import json
from pathlib import Path
from typing import Any

import torch
from torch.nn.functional import cross_entropy

from recipes.common.model import tiny
from recipes.common.model.loading import take_device
from recipes.profile_dpo import prompts
from recipes.profile_dpo.judge.words import score
from recipes.profile_dpo.prompts import Message

Lesson = tuple[list[Message], str]
"""A chat, and what is to be answered."""
FORMS = 3
"""Profiles that are taught about an author."""
TOGETHER = 2
RATE = 1.5e-2
"""Of learning, at its highest; with it a model of two layers knows thirty answers by heart after 400 steps."""


def writing(units: list[dict[str, Any]], examples: list[dict[str, Any]]) -> list[Lesson]:
    """Each author's own prompt, answered by a few examples' profiles: the model learns the form, and to vary."""
    profiles = [example["profile"] for example in examples]
    return [
        (unit["prompt"], profiles[(number + turn) % len(profiles)])
        for number, unit in enumerate(units)
        for turn in range(FORMS)
    ]


def judging(units: list[dict[str, Any]], examples: list[dict[str, Any]]) -> list[Lesson]:
    """Two examples' profiles about each author, in both orders: the one with more of the abstracts' words is better."""
    lessons = []
    for unit in units:
        for example, other in zip(examples, examples[1:] + examples[:1], strict=True):
            both = (example["profile"], other["profile"])
            for shown in (both, both[::-1]):
                first, second = (score(tuple(unit["abstracts"]), text) for text in shown)
                preferred = 1 if first >= second else 2
                answer = json.dumps({"reasoning": "More of it is there.", "preferred_profile": preferred})
                lessons.append((prompts.judge(unit["abstracts"], *shown), answer))
    return lessons


def save(folder: Path, lessons: list[Lesson], steps: int, seed: int = 0) -> None:
    """`folder` holds a tiny chat model that has been taught the lessons for so many steps."""
    take_device("cpu")
    texts = (text for chat, answer in lessons for text in (chat[0]["content"], answer))

    def teach(model: torch.nn.Module, tokenizer: Any) -> None:
        _teach(model, [_tokens(tokenizer, *lesson) for lesson in lessons], steps)

    tiny.save(folder, texts, seed, teach if steps else None)


def _tokens(tokenizer: Any, chat: list[Message], answer: str) -> tuple[list[int], int]:
    """The whole chat's ids, and how many of them come before the answer."""
    before = tokenizer.apply_chat_template(chat, add_generation_prompt=True, tokenize=False)
    whole = tokenizer.apply_chat_template([*chat, {"role": "assistant", "content": answer}], tokenize=False)
    prompt = tokenizer.encode(before, add_special_tokens=False)
    return prompt + tokenizer.encode(whole[len(before) :], add_special_tokens=False), len(prompt)


def _teach(model: torch.nn.Module, lessons: list[tuple[list[int], int]], steps: int) -> None:
    """Only what is answered counts."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, betas=(0.9, 0.98))
    rate = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps, pct_start=0.1)
    pad = torch.nn.utils.rnn.pad_sequence
    model.train()
    for _ in range(steps):
        drawn = [lessons[index] for index in torch.randint(len(lessons), (TOGETHER,)).tolist()]
        ids = pad([torch.tensor(text) for text, _ in drawn], batch_first=True)
        labels = pad(
            [torch.tensor([-100] * start + text[start:]) for text, start in drawn], batch_first=True, padding_value=-100
        )
        logits = model(input_ids=ids).logits
        loss = cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        rate.step()
    print(f"taught {len(lessons)} lessons: loss {loss.item():.3f} after {steps} steps", flush=True)
    model.eval()
