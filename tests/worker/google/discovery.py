"""Google's own descriptions of its APIs, as what requests and answers are checked against.

They come with the Google client of the environment `.venv-clouds` (`make peers`).
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema

from tests.conftest import missing

Json = dict[str, Any]

ROOT = Path(__file__).parents[3]
DOCUMENTS = "lib/python3*/site-packages/googleapiclient/discovery_cache/documents"
FORMATS = {
    "int64": r"^-?\d+$",
    "uint64": r"^\d+$",
    "google-duration": r"^-?\d+(\.\d{1,9})?s$",
    "google-datetime": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z$",
}


class Violation(Exception):
    """Something that the API's description does not know; the text says what."""


@dataclass(frozen=True)
class Method:
    """One method of an API."""

    id: str
    path: re.Pattern[str]
    query: frozenset[str]
    request: jsonschema.Draft202012Validator | None
    response: jsonschema.Draft202012Validator | None

    def check_request(self, query: Mapping[str, str], body: Any) -> None:
        """Raises `Violation`."""
        if unknown := set(query) - self.query:
            raise Violation(f"{self.id} has no query parameters {sorted(unknown)}")
        if self.request is None:
            if body is not None:
                raise Violation(f"{self.id} takes no body")
            return
        _check(self.id, self.request, body)

    def check_response(self, body: Any) -> None:
        """Raises `Violation`."""
        if self.response is not None:
            _check(f"answer of {self.id}", self.response, body)


class Api:
    """One version of an API."""

    def __init__(self, document: Json) -> None:
        self._schemas = document["schemas"]
        self._common = frozenset(document["parameters"])
        self._methods: dict[str, list[Json]] = {}
        for described in _methods(document["resources"]):
            self._methods.setdefault(described["httpMethod"], []).append(described)
        self._known: dict[str, Method] = {}

    def find(self, verb: str, path: str) -> tuple[Method, dict[str, str]]:
        """The method for a request, and the parameters in its path. Raises `Violation`."""
        for described in self._methods.get(verb, ()):
            method = self._known.get(described["id"]) or self._method(described)
            if found := method.path.fullmatch(path):
                return method, found.groupdict()
        raise Violation(f"there is no {verb} {path}")

    def _method(self, described: Json) -> Method:
        path = re.sub(
            r"\\{(\w+)\\}",
            r"(?P<\1>[^/:]+)",
            re.escape(described.get("flatPath", described["path"])),
        )
        parameters = described.get("parameters", {})
        query = {name for name, each in parameters.items() if each["location"] == "query"}
        made = self._known[described["id"]] = Method(
            described["id"],
            re.compile(path),
            self._common | query,
            self._validator(described.get("request"), is_request=True),
            self._validator(described.get("response"), is_request=False),
        )
        return made

    def _validator(
        self, reference: Json | None, *, is_request: bool
    ) -> jsonschema.Draft202012Validator | None:
        if reference is None:
            return None
        definitions: Json = {}
        schema = self._schema(reference, definitions, is_request=is_request)
        return jsonschema.Draft202012Validator({**schema, "$defs": definitions})

    def _schema(self, described: Json, definitions: Json, *, is_request: bool) -> Any:
        """A JSON Schema that knows no field besides those described."""
        if is_request and described.get("readOnly"):
            return False
        if name := described.get("$ref"):
            if name not in definitions:
                definitions[name] = True  # it may refer to itself
                definitions[name] = self._schema(
                    self._schemas[name], definitions, is_request=is_request
                )
            return {"$ref": f"#/$defs/{name}"}
        match described.get("type"):
            case "any" | None:
                return True
            case "array":
                items = self._schema(described["items"], definitions, is_request=is_request)
                return {"type": "array", "items": items}
            case "object":
                rest = described.get("additionalProperties")
                properties = {
                    name: self._schema(each, definitions, is_request=is_request)
                    for name, each in described.get("properties", {}).items()
                }
                return {
                    "type": "object",
                    "properties": properties,
                    "additionalProperties": self._schema(rest, definitions, is_request=is_request)
                    if rest
                    else False,
                }
            case type:
                schema: Json = {"type": type}
                if pattern := FORMATS.get(described.get("format", "")):
                    schema["pattern"] = pattern
                if "enum" in described:
                    schema["enum"] = described["enum"]
                return schema


@cache
def api(name: str) -> Api:
    """An API by name and version, such as `run.v2`; without its description the test is skipped."""
    for folder in (ROOT / ".venv-clouds").glob(DOCUMENTS):
        return Api(json.loads((folder / f"{name}.json").read_text("utf-8")))
    missing("the descriptions of Google's APIs are not here: run `make peers`")


def _methods(resources: Json) -> Iterator[Json]:
    for resource in resources.values():
        yield from resource.get("methods", {}).values()
        yield from _methods(resource.get("resources", {}))


def _check(what: str, validator: jsonschema.Draft202012Validator, body: Any) -> None:
    for error in validator.iter_errors(body):
        raise Violation(f"{what}: {error.json_path}: {error.message[:300]}")
