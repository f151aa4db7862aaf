"""Proves that an exported model has the weights of its checkpoint: the command of checkpoint/verify.py."""

from recipes.common.checkpoint.verify import main
from recipes.common.stage.command import run

if __name__ == "__main__":
    run(main)
