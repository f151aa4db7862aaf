"""The form of a reviewed chat: the data stage chooses it, and every later stage and user needs it. Also the number of
tokens that a base knows."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recipes.common.stage.command import Mistake
from recipes.common.stage.files import read_json, write_json
from recipes.common.stage.settings import check_choice
from recipes.honest_persona.chat_template import ROLES, Message

FLAGS = ("PASS", "FAIL", "AMBIGUOUS")
FILE = "persona.json"


@dataclass(frozen=True)
class Form:
    """Kept as `persona.json` beside everything that is made from it."""

    elicitation_type: str
    """hp: the persona writes on in the assistant's turn; up: in the user's next turn; ur: it answers a user's question
    in the assistant's next turn."""
    sp_token: int | None
    """The id of the reserved token that calls the persona; None: no token calls it."""
    system_tag: str
    """Written before and after the system prompt."""
    intervention_prefix: str
    review_prefix: str
    flag_prefix: str
    lora_mask: bool
    """Whether the adapter acts only from the intervention on."""

    def __post_init__(self) -> None:
        check_choice(self, "elicitation_type", tuple(ROLES))

    def review(self, review: str, flag: str) -> tuple[str, str]:
        """The two texts that the persona learns to write."""
        return self.review_prefix + review, self.flag_prefix + flag

    def chat(self, system: str | None, user: str, assistant: str, system_turn: bool) -> list[Message]:
        """The messages of a reviewed chat. Without a turn of its own, the system prompt begins the user's message."""
        messages = []
        if system:
            system = self.system_tag + system + self.system_tag
            if system_turn:
                messages.append({"role": "system", "content": system})
            elif self.system_tag:
                user = f"{system}\n{user}"
            else:
                raise Mistake(
                    "the model's chat template has no system message, and the data has system prompts",
                    "set `system_tag` to a text such as `<SYSTEM>`, or `exclude_system_prompt` to true",
                )
        return [*messages, {"role": "user", "content": user}, {"role": "assistant", "content": assistant}]


def write_form(form: Form, folder: Path) -> None:
    """Writes `persona.json` into the folder."""
    write_json(folder / FILE, dataclasses.asdict(form))


def read_form(folder: Path) -> Form:
    """The form that `write_form` wrote. Raises Mistake if there is none."""
    value: Any = read_json(folder / FILE)
    if not isinstance(value, dict) or set(value) != {field.name for field in dataclasses.fields(Form)}:
        raise Mistake(f"`{folder / FILE}` is not a persona", "name the folder that `prepare` or `train` made")
    return Form(**value)


def embeddings(model: Path) -> int:
    """The number of tokens that the model in the folder has a vector for."""
    config = read_json(model / "config.json") or {}
    size = config.get("vocab_size") or config.get("text_config", {}).get("vocab_size")
    if not size:
        raise Mistake(f"`{model / 'config.json'}` has no `vocab_size`", "name the folder that the model stage made")
    return int(size)
