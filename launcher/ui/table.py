"""Tables without lines, which 80 columns and a pipe can carry."""

from rich.table import Table
from rich.text import Text

RIGHT = ("steps", "step", "time", "left")
WHOLE = ("stage", "state", "step", "time", "left", "run")


def columns(*names: str) -> Table:
    """An empty table with these headings; numbers to the right, names never folded."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in names:
        table.add_column(name, justify="right" if name in RIGHT else "left", overflow="fold", no_wrap=name in WHOLE)
    return table


def labelled(*rows: tuple[Text | str, str], width: int = 0) -> Table:
    """A label and a text a row, the text folded where the screen ends; rows without a text are left out."""
    table = Table.grid(padding=(0, 2))
    table.add_column(min_width=width)
    table.add_column()
    for label, text in rows:
        if text:
            table.add_row(label, Text(text, overflow="fold"))
    return table
