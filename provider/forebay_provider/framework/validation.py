"""Checks a configuration against its declaration, offline. Unknown values are left alone.

Knows no resource; types, required attributes and names were checked by Terraform itself.
"""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from forebay_provider.framework.declarations import Attribute, declaration
from forebay_provider.framework.diagnostics import Diagnostic, Key, Path
from forebay_provider.framework.values import Unknown


def validate(
    model: type[Any], config: dict[str, Any], *, allows_write_only: bool = True
) -> Iterator[Diagnostic]:
    """What is wrong with the attributes of `config`, one diagnostic per problem."""
    for attribute in declaration(model).attributes:
        value, here = config[attribute.name], (attribute.name,)
        if value is None or isinstance(value, Unknown):
            continue
        if attribute.options.deprecated:
            yield Diagnostic(
                f"{attribute.name} is deprecated", attribute.options.deprecated, here, True
            )
        if attribute.options.write_only and not allows_write_only:
            yield Diagnostic(
                f"{attribute.name} cannot be used",
                "Write-only attributes need Terraform 1.11 or newer.",
                here,
            )
        for complaint in _complaints(attribute, value):
            yield Diagnostic(f"Invalid {attribute.name}", f"{attribute.name} {complaint}.", here)
        if attribute.nested is not None:
            for step, item in _items(attribute, value):
                inner = validate(attribute.nested, item, allows_write_only=allows_write_only)
                for found in inner:
                    # Elements of sets have no address: the path stops at the set.
                    is_in_set = attribute.nesting == "set"
                    yield replace(found, path=here if is_in_set else (*here, *step, *found.path))


def _complaints(attribute: Attribute, value: Any) -> Iterator[str]:
    if attribute.is_whole and not isinstance(value, int):
        yield f"must be a whole number, not {value}"
        return
    if attribute.is_json:
        try:
            json.loads(value)
        except RecursionError:
            yield "is nested too deeply"
            return
        except ValueError as error:
            yield f"is not JSON ({error}); write it with jsonencode"
            return
    for check in attribute.options.checks:
        complaint = check.complaint(value)
        if complaint is not None:
            yield "(sensitive value) is refused" if attribute.options.sensitive else complaint


def _items(attribute: Attribute, value: Any) -> Iterator[tuple[Path, dict[str, Any]]]:
    """The known nested objects of a value and the step to each."""
    match attribute.nesting:
        case "single":
            pairs: list[tuple[Path, Any]] = [((), value)]
        case "map":
            pairs = [((Key(key),), item) for key, item in value.items()]
        case "list":
            pairs = [((index,), item) for index, item in enumerate(value)]
        case _:
            pairs = [((), item) for item in value]
    for step, item in pairs:
        if isinstance(item, dict):
            yield step, item
