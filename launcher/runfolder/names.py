"""Names that come from elsewhere, and whether they stay in the folder that they are put below. Pure."""


def plain(name: object) -> bool:
    """Whether it names one file or folder, and could not be taken for an option."""
    return isinstance(name, str) and inside(name) and "/" not in name and not name.startswith("-")


def inside(name: object) -> bool:
    """Whether a relative path leads to a place below the folder that it is put to; `""` is the folder itself, and is
    not."""
    if not isinstance(name, str) or "\0" in name or any("\ud800" <= one <= "\udfff" for one in name):
        return False
    return all(part not in ("", ".", "..") and len(part.encode()) <= 255 for part in name.split("/"))
