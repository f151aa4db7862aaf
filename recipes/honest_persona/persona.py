"""A trained persona, loaded and asked.

persona = get_model("stages/train/out/adapter", base="stages/model/out")     # an adapter and its base
persona = get_model("export")                                                # the merged model
persona.review([{"role": "user", ...}, {"role": "assistant", ...}], "I check what I just said.")
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from recipes.common.data.tokens import Tokens
from recipes.common.stage.command import Mistake
from recipes.honest_persona.chat_template import Message
from recipes.honest_persona.dataset import Row
from recipes.honest_persona.form import Form, read_form
from recipes.honest_persona.generate import Listener
from recipes.honest_persona.scoring import flag_of
from recipes.honest_persona.tokenize import Coder


class Review(NamedTuple):
    text: str
    flag: str | None
    """PASS, FAIL or AMBIGUOUS; None where none could be read."""


@dataclass(frozen=True)
class Persona:
    """A model that reviews, and how it is called."""

    model: Any
    coder: Coder

    def review(self, messages: list[Message], intervention: str, max_new_tokens: int = 400) -> Review:
        """What the persona says about a chat that ends with the assistant's answer."""
        prompt = self.coder.apply_intervention(messages, intervention)
        row = Row("", "", "", "", prompt.tokens, len(prompt.tokens), 0, prompt.persona)
        ((_, text),) = next(Listener(self.coder, max_new_tokens, 1).listen(self.model, [row]))
        return Review(text, flag_of(text, self.coder.form.flag_prefix))


def get_model(checkpoint_path: str | Path, base: str | Path | None = None, device: str = "cpu") -> Persona:
    """The persona in a folder: an adapter, which needs the folder of its `base`, or a merged model.

    `device`: cuda, spread over all GPUs in the weights' own type, or cpu, in float32.
    """
    checkpoint = Path(checkpoint_path)
    is_adapter = (checkpoint / "adapter_config.json").exists()
    if is_adapter and base is None:
        raise Mistake(
            f"`{checkpoint}` is an adapter, and no base model is given", "give the folder of the base model as `base=`"
        )
    return load(checkpoint, Path(base) if is_adapter and base else None, read_form(checkpoint), device)


def load(checkpoint: Path, base: Path | None, form: Form, device: str) -> Persona:
    """The model in `checkpoint`, or the `base` with the adapter in it, called in the given form."""
    import torch
    from transformers import AutoModelForCausalLM

    folder = base or checkpoint
    placed: dict[str, Any] = {"dtype": torch.float32} if device == "cpu" else {"dtype": "auto", "device_map": "auto"}
    model: Any = AutoModelForCausalLM.from_pretrained(folder, local_files_only=True, **placed)
    if base:
        from peft import PeftModel

        model = PeftModel.from_pretrained(model, str(checkpoint)).get_base_model()
    return Persona(model.eval(), Coder(Tokens(folder).tokenizer, form))
