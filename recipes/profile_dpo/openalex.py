"""Authors and abstracts from OpenAlex (https://developers.openalex.org), politely: with an address, and with patience.

The key comes from OPENALEX_API_KEY: it is free, and since February 2026 requests without one end after a few hundred.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx

from recipes.common.stage.command import Mistake, StageError
from recipes.profile_dpo.papers import Paper, Query

PAGE = 100
"""Authors a request."""
WORKS = "language:en,type:article,has_abstract:true"
TRIES = 6
AGAIN = (429, 500, 502, 503, 504)


@dataclass(frozen=True)
class Author:
    id: str
    """As `A5023888391`."""
    name: str


class OpenAlex:
    """The service at `url`. A refusal that passes is waited for, twice as long each time, from `pause` seconds on."""

    def __init__(self, url: str, mailto: str, key: str | None, pause: float = 1.0):
        self.url, self.pause, self.requests = url.rstrip("/"), pause, 0
        self.identity = {"mailto": mailto, **({"api_key": key} if key else {})}
        self.client = httpx.Client(timeout=60, headers={"User-Agent": f"launcher profile_dpo (mailto:{mailto})"})

    def authors(self, query: Query, seed: int) -> Iterator[Author]:
        """So many authors at random, the same ones for the same seed."""
        parameters = {"filter": query.filter, "sample": query.authors, "seed": seed, "select": "id,display_name"}
        for page in range(1, -(-query.authors // PAGE) + 1):
            results = self.ask("authors", parameters | {"per-page": PAGE, "page": page})["results"]
            yield from (
                Author(result["id"].rpartition("/")[2], result["display_name"] or result["id"]) for result in results
            )
            if len(results) < PAGE:
                return

    def papers(self, author: Author, most: int) -> list[Paper]:
        """The author's most cited papers in English that have an abstract."""
        parameters = {
            "filter": f"authorships.author.id:{author.id},{WORKS}",
            "sort": "cited_by_count:desc",
            "per-page": most,
            "select": "title,abstract_inverted_index",
        }
        works = self.ask("works", parameters)["results"]
        return [
            Paper(f"{author.name} ({author.id})", work["title"] or "", abstract(work["abstract_inverted_index"]))
            for work in works
            if work["abstract_inverted_index"]
        ]

    def ask(self, what: str, parameters: dict[str, Any]) -> dict[str, Any]:
        """The answer's JSON."""
        for attempt in range(TRIES):
            try:
                self.requests += 1
                reply = self.client.get(f"{self.url}/{what}", params=parameters | self.identity)
            except httpx.TransportError as problem:
                failed, wait = f"cannot be reached ({type(problem).__name__})", None
            else:
                if reply.status_code == 200:
                    return self._json(reply)
                if reply.status_code not in AGAIN:
                    raise self._refused(reply)
                failed, wait = f"answered {reply.status_code}", reply.headers.get("retry-after")
            if attempt < TRIES - 1:
                time.sleep(float(wait) if wait and wait.isdecimal() else self.pause * 2**attempt)
        hint = "start the run again later; it keeps the authors so far"
        if not self.identity.get("api_key"):
            hint = "set OPENALEX_API_KEY (free, openalex.org/settings/api), or start the run again tomorrow"
        raise StageError(f"`{self.url}` {failed}, {TRIES} times", hint)

    def _json(self, reply: httpx.Response) -> dict[str, Any]:
        try:
            answer = reply.json()
        except ValueError:
            answer = None
        if not isinstance(answer, dict) or not isinstance(answer.get("results"), list):
            raise StageError(f"`{self.url}` does not answer as OpenAlex does", "check `openalex_url`")
        return answer

    def _refused(self, reply: httpx.Response) -> StageError:
        try:
            message = str(reply.json()["message"])
        except (ValueError, KeyError, TypeError):
            message = reply.reason_phrase
        if reply.status_code in (401, 403):
            return Mistake(f"OpenAlex refuses the requests: {message}", "set OPENALEX_API_KEY to a key of your account")
        return Mistake(f"OpenAlex answered {reply.status_code}: {message}", "correct the row's `openalex` filter")


def abstract(index: dict[str, list[int]]) -> str:
    """The text of which OpenAlex tells where each word stands."""
    terms = [(position, term) for term, positions in index.items() for position in positions]
    return " ".join(term for _, term in sorted(terms))
