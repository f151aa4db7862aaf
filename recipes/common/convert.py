"""Makes a Hugging Face model of a checkpoint: the command of checkpoint/formats/command.py."""

from recipes.common.checkpoint.formats.command import main
from recipes.common.stage.command import run

if __name__ == "__main__":
    run(main)
