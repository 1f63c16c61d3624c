"""What each check found. Pure values and how they are told."""

from pydantic import BaseModel, Field

SHOWN = 10  # ids of what is wrong


class Finding(BaseModel):
    """The result of one check."""

    check: str
    ok: bool
    detail: str
    ids: list[str] = Field(default_factory=list, description="The first few of what is told.")


def of_rows(check: str, count: int, ids: list[str], what: str) -> Finding:
    """A check that must find no row."""
    detail = f"no {what}" if not count else f"{count} {what}"
    return Finding(check=check, ok=not count, detail=detail, ids=ids[:SHOWN])


def of_forced(count: int, live: int, ids: list[str]) -> Finding:
    """How often an admin went beyond a limit, and in which runs lately; nothing here is wrong."""
    detail = f"{count} claims beyond a limit, {live} of them held now"
    return Finding(check="forced", ok=True, detail=detail, ids=ids)


def of_schema(stored: str | None, newest: str) -> Finding:
    """Whether the database has the schema of this version."""
    if stored == newest:
        return Finding(check="schema", ok=True, detail=f"revision {stored}")
    if stored is not None and stored > newest:
        detail = (
            f"revision {stored} is newer than this version's {newest}; install a newer Forebay"
        )
    else:
        have = f"revision {stored}" if stored else "no schema"
        detail = f"{have}, this version's is {newest}; starting the server migrates the database"
    return Finding(check="schema", ok=False, detail=detail)


def of_clock(difference_seconds: float, most_seconds: float) -> Finding:
    """Whether this machine's clock agrees with the database's, which leases go by."""
    is_close = abs(difference_seconds) <= most_seconds
    detail = f"{difference_seconds:+.1f} s from the database's"
    if not is_close:
        detail += "; schedules of this machine's clients are off by as much"
    return Finding(check="clock", ok=is_close, detail=detail)


def of_size(sizes: dict[str, int]) -> Finding:
    """How large the database is; nothing here is wrong."""
    told = [f"{name} {_readable(size)}" for name, size in sizes.items()]
    return Finding(check="size", ok=True, detail=", ".join(told))


def _readable(size: int) -> str:
    amount = float(size)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if amount < 1024:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} TiB"
