"""The API's description, and the file in which it is kept."""

import json
import sys
import tempfile
from pathlib import Path
from typing import Any, Literal

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema

from forebay_server.access.grants import GRANTS
from forebay_server.refusals import ERRORS

FILE = Path("protos/openapi.json")

DESCRIPTION = """\
Work pools, queues, deployments and runs, in the shapes of Prefect 3.8.4.

What that API does not have is an extension of Forebay, and is described where it stands: the \
header `Idempotency-Key` on what creates, `If-Match` on what changes, `X-Forebay-Worker` and \
`X-Forebay-Claim` on what workers call, and the keys `code`, `request_id` and `existing_id` of error answers.
"""


def describe(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document of `app`; made once, since anybody may ask for it."""
    if app.openapi_schema is not None:
        return app.openapi_schema
    document = get_openapi(
        title=app.title, version=app.version, description=DESCRIPTION, routes=app.routes
    )
    document["components"]["securitySchemes"] = {
        "token": {"type": "http", "scheme": "bearer", "description": "A token."},
        "password": {
            "type": "http",
            "scheme": "basic",
            "description": "The server's auth string, or any name with a token as password.",
        },
    }
    _add_errors(document)
    document["security"] = [{"token": []}, {"password": []}]
    _add_roles(document)
    app.openapi_schema = document
    return document


def _add_roles(document: dict[str, Any]) -> None:
    """Tell of each operation which roles it is open to, and whether to runs; some need nothing."""
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            grant = GRANTS[f"{method.upper()} {path.removeprefix('/api')}"]
            if grant.roles is None:
                operation["security"] = []
            else:
                operation["x-roles"] = sorted(grant.roles | ({"run"} if grant.is_runs else set()))


def _add_errors(document: dict[str, Any]) -> None:
    """Tell of the answers that every operation may give, once, and refer to them.

    Declared on the routes they would cost a third of the server's start, for nobody.
    """
    mode: Literal["serialization"] = "serialization"
    models = [(answer["model"], mode) for answer in ERRORS.values()]
    inputs, definitions = models_json_schema(models, ref_template="#/components/schemas/{model}")
    schemas, added = document["components"]["schemas"], definitions["$defs"]
    if clashing := {name for name in schemas.keys() & added if schemas[name] != added[name]}:
        raise ValueError(f"models of answers and of refusals share their names: {clashing}")
    schemas |= added
    document["components"]["responses"] = {
        str(status): {
            "description": answer["description"],
            "content": {"application/json": {"schema": inputs[(answer["model"], mode)]}},
        }
        for status, answer in ERRORS.items()
    }
    for path in document["paths"].values():
        for operation in path.values():
            for status in map(str, ERRORS):
                reference = {"$ref": f"#/components/responses/{status}"}
                if status == "422" or status not in operation["responses"]:
                    operation["responses"][status] = reference


def document() -> dict[str, Any]:
    """The OpenAPI document of this code."""
    from forebay_server.app import create_app
    from forebay_server.settings import ServerSettings

    with tempfile.TemporaryDirectory() as home:  # nothing is opened in it
        return create_app(ServerSettings(home=Path(home))).openapi()


def text() -> str:
    """The document as it is kept in the file: the same for the same code."""
    return json.dumps(document(), indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def main(arguments: list[str]) -> int:
    """Write the file, or with `--check` tell whether it is current."""
    if "--check" not in arguments:
        FILE.write_text(text(), "utf-8")
    elif not FILE.exists() or FILE.read_text("utf-8") != text():
        sys.stderr.write(f"{FILE} is stale; run: make openapi\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
