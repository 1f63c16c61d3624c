"""Reads an entrypoint, `FILE.py:FUNCTION`, from its source. Never runs or imports that code."""

import ast
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from forebay.errors import ConfigurationError

Schema = dict[str, Any]

SIMPLE_TYPES = {
    "int": "integer",
    "float": "number",
    "str": "string",
    "bool": "boolean",
    "list": "array",
    "List": "array",
    "dict": "object",
    "Dict": "object",
    "None": "null",
}
UNREADABLE = object()


@dataclass(frozen=True)
class Entrypoint:
    """A function in a file and what its signature says."""

    folder: Path  # absolute; the run's working folder
    text: str  # FILE.py:FUNCTION, with the file below `folder`
    function: str
    description: str | None
    parameters: Schema  # JSON schema of the parameters


def read_entrypoint(text: str, cwd: Path) -> Entrypoint:
    """What `text` names, found from the folder `cwd`. Raises `ConfigurationError`.

    A file below `cwd` keeps `cwd` as its folder, so that code in packages beside it is found.
    """
    name, separator, function = text.rpartition(":")
    if not separator or not name or not function.isidentifier():
        raise ConfigurationError(f"An entrypoint is FILE.py:FUNCTION, not {text!r}.")
    path = (cwd / name).resolve()
    found = _find(_parse(path), function, path)
    folder = cwd.resolve() if path.is_relative_to(cwd.resolve()) else path.parent
    return Entrypoint(
        folder=folder,
        text=f"{path.relative_to(folder).as_posix()}:{function}",
        function=function,
        description=ast.get_docstring(found),
        parameters=parameter_schema(found),
    )


def parameter_schema(function: ast.FunctionDef | ast.AsyncFunctionDef) -> Schema:
    """JSON schema of the keyword arguments that `function` takes.

    An annotation that is not one of the simple types allows anything: a run checks it itself.
    """
    properties: Schema = {}
    required = []
    for position, (argument, default) in enumerate(_arguments(function.args)):
        schema = _type_schema(argument.annotation)
        if default is None:
            required.append(argument.arg)
        elif (value := _literal(default)) is not UNREADABLE:
            if value is None and not _allows_null(schema):
                schema = {"anyOf": [schema, {"type": "null"}]}
            schema["default"] = value
        properties[argument.arg] = {"title": argument.arg, "position": position, **schema}
    return {
        "title": "Parameters",
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": function.args.kwarg is not None,
    }


def _parse(path: Path) -> ast.Module:
    try:
        return ast.parse(path.read_bytes(), str(path))
    except OSError as error:
        raise ConfigurationError(f"Cannot read {path} ({error.strerror}).") from None
    except (SyntaxError, ValueError) as error:
        raise ConfigurationError(f"{path} is not Python: {error}.") from None


def _find(module: ast.Module, function: str, path: Path) -> ast.FunctionDef | ast.AsyncFunctionDef:
    functions = {
        node.name: node
        for node in module.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    if function not in functions:
        known = ", ".join(functions) or "none"
        raise ConfigurationError(f"{path} has no function {function!r}; it has: {known}.")
    if functions[function].args.posonlyargs:
        raise ConfigurationError(
            f"The parameters of {function!r} before `/` cannot be given by name; remove the `/`."
        )
    return functions[function]


def _arguments(arguments: ast.arguments) -> Iterator[tuple[ast.arg, ast.expr | None]]:
    missing = len(arguments.args) - len(arguments.defaults)
    yield from zip(arguments.args, [*[None] * missing, *arguments.defaults], strict=True)
    yield from zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)


def _literal(node: ast.expr) -> Any:
    """The JSON value that a default is, else `UNREADABLE`."""
    try:
        value = ast.literal_eval(node)
        return json.loads(json.dumps(value, allow_nan=False))
    except (ValueError, TypeError, SyntaxError, RecursionError):
        return UNREADABLE


def _type_schema(node: ast.expr | None) -> Schema:
    match node:
        case ast.Constant(value=None):
            return {"type": "null"}
        case ast.Constant(value=str(text)):
            return _type_schema(_parse_annotation(text))
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return {"type": SIMPLE_TYPES[name]} if name in SIMPLE_TYPES else {}
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return _any_of([left, right])
        case ast.Subscript(value=ast.Name(id=name) | ast.Attribute(attr=name), slice=inner):
            return _generic_schema(name, inner)
    return {}


def _generic_schema(name: str, inner: ast.expr) -> Schema:
    arguments = inner.elts if isinstance(inner, ast.Tuple) else [inner]
    match name, arguments:
        case "Optional", [argument]:
            return _any_of([argument, ast.Constant(None)])
        case "Union", _:
            return _any_of(arguments)
        case "Annotated", [argument, *_]:
            return _type_schema(argument)
        case "Literal", _:
            values = [_literal(argument) for argument in arguments]
            return {} if UNREADABLE in values else {"enum": values}
        case "list" | "List", [argument]:
            return {"type": "array", "items": _type_schema(argument)}
        case "dict" | "Dict", [_, argument]:
            return {"type": "object", "additionalProperties": _type_schema(argument)}
    return {"type": SIMPLE_TYPES[name]} if name in SIMPLE_TYPES else {}


def _any_of(nodes: list[ast.expr]) -> Schema:
    schemas: list[Schema] = []
    for node in nodes:
        schema = _type_schema(node)
        schemas += schema.get("anyOf", [schema])
    return {} if {} in schemas else {"anyOf": schemas}


def _allows_null(schema: Schema) -> bool:
    if "enum" in schema:
        return None in schema["enum"]
    allowed = schema.get("anyOf", [schema])
    return any(item in ({}, {"type": "null"}) for item in allowed)


def _parse_annotation(text: str) -> ast.expr | None:
    try:
        return ast.parse(text, mode="eval").body
    except SyntaxError:
        return None
