"""Makes a Hugging Face model of a checkpoint: the command of checkpoint/formats/command.py."""

from recipes.common.stage.command import run


def main() -> None:
    """torch takes seconds to import, in which somebody may press Ctrl-C."""
    from recipes.common.checkpoint.formats import command

    command.main()


if __name__ == "__main__":
    run(main)
