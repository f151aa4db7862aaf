"""Proves that an exported model has the weights of its checkpoint: the command of checkpoint/verify.py."""

from recipes.common.stage.command import run


def main() -> None:
    """torch takes seconds to import, in which somebody may press Ctrl-C."""
    from recipes.common.checkpoint import verify

    verify.main()


if __name__ == "__main__":
    run(main)
