"""What a check found."""

from dataclasses import dataclass

OK, UNKNOWN, WARNING, REFUSED = "ok", "unknown", "warning", "refused"


@dataclass(frozen=True)
class Finding:
    """`level` is ok, unknown (nobody could look), warning or refused, which alone ends a launch; `says` is the
    evidence, `hint` what helps (empty when all is well), `details` are lines beneath."""

    check: str
    level: str
    says: str
    hint: str = ""
    details: tuple[str, ...] = ()
