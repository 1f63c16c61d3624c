"""Azure's own description of container groups, for checking what the stand-in takes and gives.

The description is the models of `azure-mgmt-containerinstance`, in the environment `.venv-clouds`
(`make peers`); this file is also the program that reads them there.
"""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

Json = dict[str, Any]

PYTHON = Path(__file__).parents[3] / ".venv-clouds" / "bin" / "python"
TEXTS = ("str", "iso-8601")


class Models:
    """A running program that knows the models."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def faults(self, model: str, body: Mapping[str, Any], *, is_request: bool) -> list[str]:
        """What in `body` the model does not allow."""
        assert self._process.stdin and self._process.stdout
        question = {"model": model, "body": body, "is_request": is_request}
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        found: list[str] = json.loads(self._process.stdout.readline())
        return found


@contextmanager
def running_models() -> Iterator[Models]:
    """The program, as long as it is needed."""
    with subprocess.Popen(
        [PYTHON, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield Models(process)
        assert process.stdin
        process.stdin.close()


def _faults(known: Any, name: str, body: Any, path: str, *, is_request: bool) -> Iterator[str]:
    """What in `body` the model called `name` does not allow, with its path."""
    if not isinstance(body, dict):
        yield f"{path}: must be an object"
        return
    model = getattr(known, name)
    fields = {
        tuple(field["key"].split(".")): (field["type"], model._validation.get(attribute, {}))
        for attribute, field in model._attribute_map.items()
    }
    nests = {key[:1] for key in fields if len(key) > 1}
    found: dict[tuple[str, ...], Any] = {}
    for key, value in body.items():
        if (key,) in nests and isinstance(value, dict):
            found |= {(key, inner): item for inner, item in value.items()}
        else:
            found[(key,)] = value
    for key in found:
        if key not in fields:
            yield f"{path}.{'.'.join(key)}: unknown"
    for key, (type, rules) in fields.items():
        here = f"{path}.{'.'.join(key)}"
        if rules.get("readonly"):
            if is_request and key in found:
                yield f"{here}: is Azure's to say"
        elif rules.get("required") and key not in found:
            yield f"{here}: missing"
        if key in found:
            yield from _type_faults(known, type, found[key], here, is_request=is_request)


def _type_faults(
    known: Any, type: str, value: Any, path: str, *, is_request: bool
) -> Iterator[str]:
    if type.startswith("["):
        if not isinstance(value, list):
            yield f"{path}: must be a list"
            return
        for number, item in enumerate(value):
            yield from _type_faults(
                known, type[1:-1], item, f"{path}[{number}]", is_request=is_request
            )
    elif type.startswith("{"):
        if not isinstance(value, dict):
            yield f"{path}: must be an object"
            return
        for key, item in value.items():
            yield from _type_faults(
                known, type[1:-1], item, f"{path}.{key}", is_request=is_request
            )
    elif type in TEXTS:
        if not isinstance(value, str):
            yield f"{path}: must be text"
    elif type in ("int", "float"):
        if not isinstance(value, int if type == "int" else int | float):
            yield f"{path}: must be a number"
    elif type == "bool":
        if not isinstance(value, bool):
            yield f"{path}: must be true or false"
    elif type != "object":
        yield from _faults(known, type, value, path, is_request=is_request)


def _answer_questions() -> None:
    from azure.mgmt.containerinstance import models as known  # type: ignore[import-not-found]

    for line in sys.stdin:
        question = json.loads(line)
        name = question["model"]
        found = _faults(known, name, question["body"], name, is_request=question["is_request"])
        sys.stdout.write(json.dumps(list(found)) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    _answer_questions()
