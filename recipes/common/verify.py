"""Proves that an exported model is the checkpoint it was made of: the command of checkpoint/verify.py."""

from recipes.common.checkpoint.verify import main
from recipes.common.stage.command import run

if __name__ == "__main__":
    run(main)
