"""Registry pages of declared models, in Markdown. Knows no resource."""

from collections.abc import Iterable, Iterator
from typing import Any

from forebay_provider.framework.declarations import Attribute, declaration
from forebay_provider.framework.functions import Function

_GROUPS = ("Required", "Optional", "Read-Only")
_KINDS = {"string": "String", "number": "Number", "bool": "Boolean", "dynamic": "Dynamic"}


def page(
    title: str,
    heading: str,
    model: type[Any],
    *,
    sections: Iterable[tuple[str, str]] = (),
    after: Iterable[tuple[str, str]] = (),
) -> str:
    """A page: front matter, `sections` (title, text), the schema, and the sections `after` it."""
    parts = [
        *_top(title, heading, declaration(model).doc),
        *(f"## {name}\n\n{text}" for name, text in sections),
        "## Schema",
        *_attributes(model, "###", ""),
        *(f"## {name}\n\n{text}" for name, text in after),
    ]
    return "\n\n".join(parts) + "\n"


def function_page(title: str, function: Function, *, example: str) -> str:
    """A function's page: front matter, an example, the signature and the arguments."""
    arguments = ", ".join(f"{p.name} {p.kind.constraint()}" for p in function.parameters)
    signature = f"{function.name}({arguments}) {function.returns.constraint()}"
    listed = (
        f"1. `{p.name}` ({_words(p.kind.constraint())}) {p.doc}" for p in function.parameters
    )
    parts = [
        *_top(title, f"function: {function.name}", function.summary + "."),
        function.doc,
        f"## Example Usage\n\n{example}",
        f"## Signature\n\n{code('text', signature)}",
        "## Arguments\n\n" + "\n".join(listed),
    ]
    return "\n\n".join(parts) + "\n"


def code(language: str, text: str) -> str:
    """A fenced block."""
    return f"```{language}\n{text.strip()}\n```"


def _top(title: str, heading: str, doc: str) -> Iterator[str]:
    """Front matter and the heading with the first words."""
    yield f'---\npage_title: "{title}"\nsubcategory: ""\ndescription: |-\n  {doc}\n---'
    yield f"# {heading}\n\n{doc}"


def _attributes(model: type[Any], level: str, prefix: str) -> Iterator[str]:
    """The attributes of a model by group, then those of its nested models."""
    attributes = sorted(declaration(model).attributes, key=lambda a: a.name)
    for group in _GROUPS:
        lines = [_line(a, prefix) for a in attributes if _group(a) == group]
        if lines:
            yield f"{level} {group}\n\n" + "\n".join(lines)
    for attribute in attributes:
        if attribute.nested is not None:
            path = prefix + attribute.name
            yield f'<a id="nestedatt--{_anchor(path)}"></a>\n### Nested Schema for `{path}`'
            yield from _attributes(attribute.nested, "####", f"{path}.")


def _group(attribute: Attribute) -> str:
    if attribute.required:
        return "Required"
    return "Optional" if attribute.optional else "Read-Only"


def _line(attribute: Attribute, prefix: str) -> str:
    options = attribute.options
    type_words = [_type(attribute)]
    type_words += ["Sensitive"] * options.sensitive + ["Write-only"] * options.write_only
    type_words += ["Deprecated"] * bool(options.deprecated)
    sentences = [options.doc, *(check.doc for check in options.checks if check.doc)]
    if attribute.default is not None:
        sentences.append(f"Defaults to `{_literal(attribute.default)}`.")
    if options.replace:
        sentences.append("A change makes a new object.")
    if options.deprecated:
        sentences.append(options.deprecated)
    if attribute.nested is not None:
        link = f"#nestedatt--{_anchor(prefix + attribute.name)}"
        sentences.append(f"(see [below for nested schema]({link}))")
    return f"- `{attribute.name}` ({', '.join(type_words)}) {' '.join(sentences)}"


def _type(attribute: Attribute) -> str:
    if attribute.nested is not None:
        nesting = "" if attribute.nesting == "single" else f" {attribute.nesting.title()}"
        return f"Attributes{nesting}"
    return "String, JSON" if attribute.is_json else _words(attribute.kind.constraint())


def _words(constraint: Any) -> str:
    if isinstance(constraint, str):
        return _KINDS[constraint]
    return f"{constraint[0].title()} of {_words(constraint[1])}"


def _literal(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else str(value)


def _anchor(path: str) -> str:
    return path.replace(".", "--")
