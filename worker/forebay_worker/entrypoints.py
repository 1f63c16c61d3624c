"""Loads the function that a deployment names and calls it. Knows no API."""

import asyncio
import importlib
import importlib.util
import inspect
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from forebay.errors import ForebayError


class BadEntrypoint(ForebayError):
    """The deployment's code cannot be found, or does not take the run's parameters."""


def enter(folder: str) -> None:
    """Change to the folder in which the code lies. Raises `BadEntrypoint`."""
    try:
        os.chdir(Path(folder).expanduser())
    except OSError as error:
        raise BadEntrypoint(
            f"The deployment's folder {folder!r} cannot be entered: {error.strerror}."
        ) from None


def load_function(entrypoint: str | None) -> Callable[..., Any]:
    """The function behind `FILE.py:FUNCTION` or `PACKAGE.MODULE:FUNCTION`.

    Raises `BadEntrypoint`; what the module itself raises while it loads passes through.
    """
    if not entrypoint:
        raise BadEntrypoint(
            "The deployment names no entrypoint; give it one of the form FILE.py:FUNCTION, "
            "or let its pool run a command."
        )
    place, separator, name = entrypoint.rpartition(":")
    if not separator or not place or not name:
        raise BadEntrypoint(f"The entrypoint {entrypoint!r} is not of the form FILE.py:FUNCTION.")
    module = _load_file(Path(place)) if place.endswith(".py") else _load_module(place)
    function: Any = module
    for part in name.split("."):
        function = getattr(function, part, None)
    if not callable(function):
        raise BadEntrypoint(f"{place} has no function {name!r}.")
    return function  # type: ignore[no-any-return]


def call_function(function: Callable[..., Any], parameters: Mapping[str, Any]) -> Any:
    """What `function` returns; a coroutine is run to its end.

    Raises `BadEntrypoint` when it does not take these parameters.
    """
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # some callables have none
        signature = None
    if signature:
        try:
            signature.bind(**parameters)
        except TypeError as error:
            name = getattr(function, "__name__", "the function")
            raise BadEntrypoint(f"The parameters do not fit {name}{signature}: {error}.") from None
    result = function(**parameters)
    if inspect.iscoroutine(result):
        return asyncio.run(result)
    return result


def _load_file(file: Path) -> ModuleType:
    path = file.resolve()
    if not path.is_file():
        raise BadEntrypoint(f"The entrypoint's file {path} does not exist.")
    _import_from(os.getcwd())
    _import_from(str(path.parent))
    # A file may be called like a module that is loaded already, which must stay what it is.
    name = path.stem if path.stem not in sys.modules else f"entrypoint_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _load_module(name: str) -> ModuleType:
    _import_from(os.getcwd())
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not (name == error.name or name.startswith(error.name + ".")):
            raise  # the module exists and lacks something itself
        raise BadEntrypoint(f"The entrypoint's module {name!r} is not installed here.") from None


def _import_from(folder: str) -> None:
    if folder not in sys.path:
        sys.path.insert(0, folder)
