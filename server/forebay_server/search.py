"""The words of a text search: some wanted, some required, some forbidden. Knows no SQL.

Source: Prefect 3.8.4 `parse_text_search_query`.
"""

import re
from dataclasses import dataclass

_TERM = re.compile(r'([-!+]?)(?:"([^"]*)"?|(\S+))')


@dataclass(frozen=True)
class Terms:
    """Terms without their signs, as written; case is for the caller to ignore."""

    wanted: tuple[str, ...]  # one of them must be there, if there is any
    required: tuple[str, ...]  # written +term
    forbidden: tuple[str, ...]  # written -term or !term


def parse(query: str) -> Terms:
    """The terms of `query`; a phrase stands in double quotes."""
    found = [(sign, phrase or word) for sign, phrase, word in _TERM.findall(query)]
    found = [(sign, term) for sign, term in found if term]
    return Terms(
        wanted=tuple(term for sign, term in found if not sign),
        required=tuple(term for sign, term in found if sign == "+"),
        forbidden=tuple(term for sign, term in found if sign in ("-", "!")),
    )
