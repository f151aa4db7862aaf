"""Instructions that say the same: letter by letter, or nearly (MinHash, by datasketch)."""

import re
from collections.abc import Iterable, Iterator

PERMUTATIONS = 128
GRAM = 5
"""Characters of a piece: near duplicates have most pieces in common, in code and in every script."""
HIGHEST = 0.9
"""The highest similarity that candidates can be looked for with; which of them are near is computed."""
SPACE = re.compile(r"\s+")


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
