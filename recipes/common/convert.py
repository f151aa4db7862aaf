"""Makes a Hugging Face model of one role of a verl FSDP checkpoint: the command of checkpoint/convert.py."""

from recipes.common.checkpoint.convert import main
from recipes.common.stage.command import run

if __name__ == "__main__":
    run(main)
