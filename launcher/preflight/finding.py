"""What a check found."""

from dataclasses import dataclass

OK, WARNING, REFUSED = "ok", "warning", "refused"


@dataclass(frozen=True)
class Finding:
    """`level` is ok, warning or refused; `says` is the evidence, `hint` what helps (empty when all is well),
    `details` are lines beneath."""

    check: str
    level: str
    says: str
    hint: str = ""
    details: tuple[str, ...] = ()
