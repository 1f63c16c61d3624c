"""Names and ids of objects, checked offline by the server's rules. Knows no object."""

import re
import shlex
from collections.abc import Iterable
from uuid import UUID

from forebay.errors import Conflict, FieldProblem
from forebay_provider.framework.checks import custom, matches
from forebay_provider.framework.diagnostics import Diagnostic, Failure

MAX_INT = 2**31 - 1

# Source: Prefect 3.8.4 `^[^/%&><]+$` and not blank; names are also segments of URLs.
NAME = matches(
    r"(?!\s|\.{1,2}$)[^/%&<>\x00-\x1f]{1,255}(?<!\s)",
    "be 1 to 255 characters without / % & < >, not . or .., with no space at either end",
)


def _reserved(name: str) -> str | None:
    if name.lower().startswith("prefect"):
        return f'must not begin with "prefect", which the server reserves: {name!r}'
    return None


POOL_NAME = (NAME, custom(_reserved, 'Must not begin with "prefect".'))


def as_uuid(text: str) -> UUID | None:
    """The UUID that `text` writes out, if it does."""
    try:
        return UUID(text)
    except ValueError:
        return None


def _uuid_complaint(text: str) -> str | None:
    return None if as_uuid(text) else f"must be a UUID, not {text!r}"


UUID_TEXT = custom(_uuid_complaint, "A UUID.")


def some_of(names: Iterable[str], most: int = 10) -> str:
    """The names in order, at most so many; the rest is counted."""
    listed = sorted(names)
    more = len(listed) - most
    return ", ".join(listed[:most]) + (f" and {more} more" if more > 0 else "")


def no_such_id(noun: str, text: str, forms: str) -> Failure:
    """The error of an import whose id cannot be one."""
    return Failure(
        Diagnostic(f"The import id names no {noun}", f"Expected {forms}, not {text!r}.")
    )


def name_taken(type_name: str, name: str, id: object, import_id: str) -> Conflict:
    """The error of a create whose name is taken: what there is, and how to take it over."""
    label = re.sub(r"\W+", "_", name)
    message = (
        f'"{name}" exists already, with the id {id}, and was not made by this resource. Choose '
        "another name, or take it over:\n\n"
        f"  terraform import {type_name}.{label} {shlex.quote(import_id)}\n\n"
        "where your resource block may have another address."
    )
    return Conflict(message, problems=(FieldProblem(("name",), message),))
