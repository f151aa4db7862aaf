"""Six checks of a pair of instruction and response: each gives a score from 0 to 1, or the reason to drop the pair. And
duplicates of instructions, exact or near (MinHash, by datasketch)."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

WEIGHTS = {"length": 0.15, "language": 0.10, "repetition": 0.20, "format": 0.15, "toxicity": 0.15, "content": 0.25}
"""Of the six scores in a pair's; they add up to 1."""

BEST_WORDS, SPREAD = 200, 500
"""Words of the response that scores best, and how fast the score falls beside it."""
SHORTEST_GRAM, LONGEST_GRAM, GRAMS = 3, 5, 3
"""A phrase of 3 to 5 words may occur so many times."""
CONTENT = 0.4
"""The least that the content has to score."""

STOP_WORDS = """
about after all also and any are because been being but can come could did does each first for from get had has
have her here him his how into its just know let like look make may more most new not now old one only other our
out over say see she should some such take than that the their them then there these they this those time too
two use very was way well were what when where which while who will with would you your
"""
FREQUENT = frozenset(STOP_WORDS.split())
"""Words that may be frequent; those of two letters are passed over anyway."""
GREETING = re.compile(
    r"\W*(hi|hello|hey|greetings|good (morning|afternoon|evening)|welcome)\b[^.!?\n]{0,60}[.!?]*\s*", re.I
)
DISCLAIMER = re.compile(
    r"\bas an? (ai|artificial intelligence|(large )?language model)\b|"
    r"\bi('m| am) (just )?an? (ai|(large )?language model)\b",
    re.I,
)
REFUSAL = re.compile(
    r"\W*(i('m| am) (very |really )?sorry,? (but|i)|sorry,? (but )?i (can|am)|i (cannot|can't|can not|won't|will not|"
    r"am unable to|am not able to|'m unable to|'m not able to) (help|assist|provide|fulfil|comply|answer|create|write|"
    r"do that|continue|generate))",
    re.I,
)
ENDED = re.compile(r"[.!?:;)\]}>\"'`*|”’…。！？]\s*$")
UNFINISHED = 0.7
HARM = re.compile(
    r"\b(kill (yourself|himself|herself|them all)|how to (make|build) a bomb|commit suicide|child porn\w*|rape|"
    r"ethnic cleansing|white supremacy|genocide|terroris[mt]\w*|behead\w*|torture|nazi\w*|lynch\w*)\b",
    re.I,
)
TEACHING = re.compile(
    r"\b(histor\w+|educat\w+|prevent\w*|research\w*|stud(y|ies|ied)|law|legal|award\w*|documentary|novel|museum|"
    r"awareness|victims?|survivors?|support|therap\w+|scholars?|court|trial|treaty|convention)\b",
    re.I,
)
ACTION = re.compile(
    r"\b(write|explain|describe|create|list|give|tell|compare|summari[sz]e|translate|calculate|find|make|show|design|"
    r"develop|discuss|provide|analy[sz]e|generate|solve|suggest|help|name|define|identify|plan|outline|convert|"
    r"implement|rewrite|classify|choose)\b",
    re.I,
)
STRUCTURE = re.compile(r"^\s*(?:[-*•]|\d+[.)]|#+|```)\s?", re.M)


PERMUTATIONS = 128

GRAM = 5
"""Characters of a piece: near duplicates have most pieces in common, in code and in every script."""

HIGHEST = 0.9
"""The highest similarity that candidates can be looked for with; which of them are near is computed."""

SPACE = re.compile(r"\s+")


@dataclass(frozen=True)
class Limits:
    """The limits that the settings name."""

    instruction_words: tuple[int, int] = (3, 500)
    response_words: tuple[int, int] = (10, 2000)
    ascii_share: float = 0.8
    """The least, of all characters."""
    repeated_word: float = 0.3
    """The most that one word may be of all."""
    score: float = 0.5
    """The least, of the weighted sum."""


class Look(NamedTuple):
    score: float
    reason: str | None = None


class Verdict(NamedTuple):
    score: float
    """The weighted sum of the six."""
    reasons: list[str]
    """Empty when the pair passes."""


def judge(instruction: str, response: str, limits: Limits) -> Verdict:
    """The pair's score, and every reason against it."""
    looks = {
        "length": length(instruction, response, limits),
        "language": language(instruction, response, limits),
        "repetition": repetition(response, limits),
        "format": form(response),
        "toxicity": toxicity(instruction, response),
        "content": content(instruction, response),
    }
    score = sum(WEIGHTS[name] * look.score for name, look in looks.items())
    reasons = [look.reason for look in looks.values() if look.reason]
    if not reasons and score < limits.score:
        reasons = ["score"]
    return Verdict(round(score, 4), reasons)


def length(instruction: str, response: str, limits: Limits) -> Look:
    """Words, as they are between white space."""
    instruction_length, response_length = len(instruction.split()), len(response.split())
    for name, count, (least, most) in (
        ("instruction", instruction_length, limits.instruction_words),
        ("response", response_length, limits.response_words),
    ):
        if count < least:
            return Look(0.0, f"{name} too short")
        if count > most:
            return Look(0.0, f"{name} too long")
    return Look(max(0.5, 1 - abs(response_length - BEST_WORDS) / SPREAD))


def language(instruction: str, response: str, limits: Limits) -> Look:
    """The share of ASCII characters, which is high in English and in code."""
    text = instruction + response
    share = sum(map(str.isascii, text)) / len(text) if text else 0.0
    return Look(share, None if share >= limits.ascii_share else "not English")


def repetition(response: str, limits: Limits) -> Look:
    """How much of the response is its most frequent word, and whether it says phrases over and over."""
    terms = [term.strip(".,;:!?()[]{}\"'`*_#").casefold() for term in response.split()]
    terms = [term for term in terms if term]
    counted = Counter(term for term in terms if len(term) > 2 and term not in FREQUENT)
    share = max(counted.values(), default=0) / len(terms) if terms else 0.0
    if share > limits.repeated_word:
        return Look(0.0, "repeated word")
    for size in range(SHORTEST_GRAM, LONGEST_GRAM + 1):
        grams = Counter(zip(*(terms[start:] for start in range(size)), strict=False))
        if max(grams.values(), default=0) > GRAMS:
            return Look(0.0, "repeated phrase")
    return Look(1 - share)


def form(response: str) -> Look:
    """Whether it is an answer, and complete."""
    if GREETING.fullmatch(response):
        return Look(0.0, "only a greeting")
    if DISCLAIMER.search(response):
        return Look(0.0, "disclaimer of an AI")
    if REFUSAL.match(response):
        return Look(0.0, "refusal")
    return Look(1.0 if ENDED.search(response[-200:]) else UNFINISHED)


def toxicity(instruction: str, response: str) -> Look:
    """Words of harm, unless the text is about their history, law, prevention or study."""
    text = f"{instruction}\n{response}"
    harmful = HARM.search(text) and not TEACHING.search(text)
    return Look(0.0, "harmful") if harmful else Look(1.0)


def content(instruction: str, response: str) -> Look:
    """Whether something is asked for, in how many different words it is answered, and whether that has a structure."""
    request = 0.6 + 0.1 * ("?" in instruction) + 0.1 * bool(ACTION.search(instruction))
    terms = response.casefold().split()
    different = len(set(terms)) / len(terms) if terms else 0.0
    score = min(1.0, request * (0.5 + 0.5 * different) + 0.1 * bool(STRUCTURE.search(response)))
    return Look(score, None if score >= CONTENT else "little content")


def repeats(texts: Iterable[str], similarity: float) -> Iterator[str | None]:
    """For each text, in order: "exact duplicate" or "near duplicate" of an earlier one that is neither; or None.

    `similarity` is the Jaccard similarity of two texts' pieces from which they are near; estimated, to about 0.05.
    """
    from datasketch import MinHash, MinHashLSH

    seen: set[str] = set()
    near = MinHashLSH(threshold=min(similarity, HIGHEST), num_perm=PERMUTATIONS)
    kept: dict[str, MinHash] = {}
    for number, text in enumerate(texts):
        plain = normal(text)
        if plain in seen:
            yield "exact duplicate"
            continue
        seen.add(plain)
        hashed = MinHash(num_perm=PERMUTATIONS)
        hashed.update_batch([piece.encode("utf-8", "backslashreplace") for piece in sorted(pieces(plain))])
        if any(kept[other].jaccard(hashed) >= similarity for other in near.query(hashed)):
            yield "near duplicate"
            continue
        kept[str(number)] = hashed
        near.insert(str(number), hashed)
        yield None


def normal(text: str) -> str:
    """The text without what nobody reads: case, and how wide spaces are."""
    return SPACE.sub(" ", text).strip().casefold()


def pieces(text: str) -> set[str]:
    """All runs of GRAM characters; a shorter text is one piece."""
    return {text[start : start + GRAM] for start in range(max(1, len(text) - GRAM + 1))}
