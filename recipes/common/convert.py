"""Makes a Hugging Face model of one role of a verl FSDP checkpoint: the command of checkpoint/convert.py."""

from recipes.common.stage.command import run


def main() -> None:
    """torch takes seconds to import, in which somebody may press Ctrl-C."""
    from recipes.common.checkpoint import convert

    convert.main()


if __name__ == "__main__":
    run(main)
