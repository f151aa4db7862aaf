"""How a question becomes the text that a model reads.

`chat` leaves that to the trainer, which applies the model's own template: what this recipe trains on. The others write
the template into the prompt, for trainers that tokenize it as it is.
"""

from recipes.common.stage.command import Mistake

CHAT = "chat"

TEMPLATES = {
    "base": "### Question\n{}\n\n### Answer\n",
    "qwen": "<|im_start|>system\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant.<|im_end|>\n"
    "<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n",
    "llama-2": "<s>[INST] {} [/INST]",
    "llama-3": "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\n{}<|eot_id|>"
    "<|start_header_id|>assistant<|end_header_id|>\n\n",
    "ministral": "<s>[INST]{}[/INST]",
}
"""The models' published formats of a single turn."""


def apply(template: str, question: str) -> str:
    """The prompt's text; `chat` is the question itself."""
    if template == CHAT:
        return question
    if template not in TEMPLATES:
        known = "`, `".join([CHAT, *TEMPLATES])
        raise Mistake(f"`--template_type` is `{template}`", f"it is one of `{known}`")
    head, tail = TEMPLATES[template].split("{}")
    return head + question + tail
