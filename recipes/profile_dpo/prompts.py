"""What writers and judges are asked. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

Message = dict[str, str]

WRITE = """\
Here are abstracts of one researcher's papers. Write the researcher's competency profile: a line `Domain: "..."` with \
the field, an empty line, a line `Competencies:`, and 3 to 8 lines `- name: what the researcher can do`; nothing \
else."""

JUDGE = """\
Two profiles were written of one researcher, from the abstracts below. Which one describes the researcher's \
competencies better: right, complete, specific, with nothing made up? Answer with one JSON object and nothing else: \
{"reasoning": "one or two sentences", "preferred_profile": 1 or 2}"""


def write(abstracts: Sequence[str], examples: Sequence[Mapping[str, Any]]) -> list[Message]:
    """The chat that asks for a profile; `examples` have `abstracts` and `profile`."""
    shown = [
        f"Example of abstracts:\n{_numbered(example['abstracts'])}\n\nIts profile:\n{example['profile']}"
        for example in examples
    ]
    return _user([WRITE, *shown, f"Abstracts:\n{_numbered(abstracts)}"])


def judge(abstracts: Sequence[str], first: str, second: str) -> list[Message]:
    """The chat that asks which profile is better."""
    return _user([JUDGE, f"Abstracts:\n{_numbered(abstracts)}", f"Profile 1:\n{first}", f"Profile 2:\n{second}"])


def _numbered(texts: Sequence[str]) -> str:
    return "\n".join(f"{number}. {text}" for number, text in enumerate(texts, 1))


def _user(parts: Sequence[str]) -> list[Message]:
    """One message of the user's: not every model knows a system's."""
    return [{"role": "user", "content": "\n\n".join(parts)}]
