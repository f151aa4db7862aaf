"""What the trainings' chats become with the base's own tokenizer, and whether the models may be read, before anything
is paid.

    python -m recipes.synthetic_instruct.preflight.template GENERATOR.json BASE.json JUDGE.json \\
        --generate GENERATE.json --learn DPO.json --chats FILE

Each FILE.json is a stage's settings; `null` for DPO's where the list of stages has none. The rows themselves are
written during the run: the shipped chats stand for them, and the longest that can be written is counted. Prints one
line and exits 0, or says what is wrong and exits 2.
"""

import argparse
from pathlib import Path

from recipes.common.data.hub import Source, snapshot
from recipes.common.preflight.template import TOKENIZER_FILES, share
from recipes.common.stage.command import run
from recipes.common.stage.files import read_json
from recipes.synthetic_instruct.chat import Chat, one_bos, open_chat
from recipes.synthetic_instruct.models import read_pairs
from recipes.synthetic_instruct.preflight.access import readable, source_of


def main(argv: list[str] | None = None) -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(
        prog="python -m recipes.synthetic_instruct.preflight.template", description=__doc__.split("\n")[0]
    )
    for name in ("generator", "base", "judge"):
        parser.add_argument(name, type=source_of)
    for name in ("--generate", "--learn", "--chats"):
        parser.add_argument(name, type=Path, required=True)
    given = parser.parse_args(argv)
    said, learning = readable([given.generator, given.base, given.judge]), read_json(given.learn)
    if learning is None or given.base.repo == "tiny":
        print(said)
        return
    chat = open_chat(_tokenizer(given.base), learning["template"])
    lengths = [_tokens(chat, *pair) for pair in read_pairs(given.chats)]
    writing, limit = read_json(given.generate), learning["max_length"]
    most = _tokens(chat, "", "") + writing["instruction_tokens"] + writing["response_tokens"]
    over = f"of {len(lengths)} chats {share(lengths, limit):.1%} over max_length {limit:,}"
    cut = ", of which the end is cut" if most > limit else ""
    print(f"{said}; {over}; the longest that can be written has {most:,} tokens{cut}")


def _tokenizer(base: Source) -> Path:
    """The folder that holds it."""
    if base.on_hub:
        return snapshot(base.repo, str(base.revision), None, TOKENIZER_FILES, ())
    return Path(base.repo).expanduser()


def _tokens(chat: Chat, asked: str, said: str) -> int:
    turns = [{"role": "user", "content": asked}, {"role": "assistant", "content": said}]
    ids = chat.tokenizer.apply_chat_template(turns, return_dict=False)
    return len(one_bos(ids, chat.tokenizer.bos_token_id, "the chat"))


if __name__ == "__main__":
    run(main)
