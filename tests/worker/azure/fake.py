"""Azure's resource manager and its identity endpoints on free ports, with faults on demand.

Deployments are evaluated, container groups are checked against Azure's own models, and containers
are real processes.
"""

import asyncio
import json
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs
from uuid import uuid4

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.worker.azure.groups import (
    CORES,
    Group,
    NotATemplate,
    deployed,
    image_error,
    quota_error,
)
from tests.worker.azure.models import Models
from tests.worker.local_process import listening

Json = dict[str, Any]

SUBSCRIPTION = "00000000-1111-2222-3333-444444444444"
RESOURCE_GROUP = "flows"
SECRET = "client-secret"
IDENTITY_HEADER = "identity-header"
BASE = "/subscriptions/{subscription}/resourceGroups/{resource_group}/providers"
GROUP = f"{BASE}/Microsoft.ContainerInstance/containerGroups/{{name}}"
DEPLOYMENT = f"{BASE}/Microsoft.Resources/deployments/{{name}}"


class Refused(Exception):
    """What Azure answers instead."""

    def __init__(self, status: int, code: str, message: str, **headers: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.headers = status, code, message, headers


def throttled() -> Refused:
    """What a subscription is told that asks too often."""
    return Refused(
        429, "TooManyRequests", "The request is being throttled.", **{"Retry-After": "0"}
    )


class FakeAzure:
    """A running stand-in."""

    def __init__(self, models: Models) -> None:
        self.models = models
        self.port = 0
        self.authority_port = 0
        self.requests: list[tuple[str, str, Any]] = []  # method, path and body
        self.not_in_the_models: list[str] = []
        self.deployments: dict[str, Json] = {}  # by name
        self.groups: dict[str, Group] = {}  # by name
        self.executions = 0
        self.refusals: dict[str, list[Refused]] = defaultdict(list)  # of the next, by method
        self.lost_answers = 0  # of the next deployments
        self.cuts_logs = 0  # of the next logs
        self.tokens: set[str] = set()
        self._deletions: dict[str, asyncio.Task[None]] = {}

    @property
    def url(self) -> str:
        """Where the resource manager listens."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def authority(self) -> str:
        """Where clients with a secret get their tokens."""
        return f"https://127.0.0.1:{self.authority_port}"

    @property
    def environment(self) -> dict[str, str]:
        """How a worker with a managed identity finds it."""
        return {
            "FOREBAY_AZURE_RESOURCE_MANAGER": self.url,
            "IDENTITY_ENDPOINT": f"{self.url}/msi/token",
            "IDENTITY_HEADER": IDENTITY_HEADER,
        }

    def sent(self, method: str, ending: str = "") -> list[Any]:
        """Bodies of the requests of a method whose path ends so."""
        return [
            body for how, path, body in self.requests if how == method and path.endswith(ending)
        ]

    async def close(self) -> None:
        """End every process."""
        for group in self.groups.values():
            await group.close()

    def check(self, body: Json, *, is_request: bool) -> None:
        """Remember what the models do not allow."""
        resource = {key: value for key, value in body.items() if key != "apiVersion"}
        if is_request:
            resource = {key: resource[key] for key in resource if key not in ("name", "type")}
        found = self.models.faults("ContainerGroup", resource, is_request=is_request)
        self.not_in_the_models += found

    def token(self) -> str:
        """A new token."""
        token = f"token-{uuid4()}"
        self.tokens.add(token)
        return token

    # Deployments.

    async def deploy(self, request: Request, body: Json) -> Response:
        name = request.path_params["name"]
        if request.path_params["resource_group"] != RESOURCE_GROUP:
            raise Refused(404, "ResourceGroupNotFound", "Resource group could not be found.")
        if self.deployments.get(name, {}).get("provisioningState") == "Running":
            raise Refused(409, "DeploymentActive", "The deployment is still active.")
        try:
            resource = deployed(body["properties"])
        except NotATemplate as error:
            raise Refused(400, "InvalidTemplate", str(error)) from None
        self.check(resource, is_request=True)
        shown = {"provisioningState": "Running", "tags": body["tags"]}
        self.deployments[name] = shown
        error = self._hindrance(resource)
        if error is None:
            self.groups[name] = Group(resource, request.url.path)
            self.executions += 1
            shown["provisioningState"] = "Succeeded"
        else:
            shown |= {"provisioningState": "Failed", "error": error}
        if self.lost_answers:
            self.lost_answers -= 1
            shown["provisioningState"] = "Running"
            raise Refused(504, "GatewayTimeout", "The answer got lost.")
        url = f"{self.url}/operations/{name}?api-version=2021-04-01"
        headers = {"Azure-AsyncOperation": url, "Retry-After": "0"}
        return JSONResponse({"properties": {"provisioningState": "Accepted"}}, 201, headers)

    async def read_deployment(self, request: Request, body: None) -> Response:
        found = self.deployments.get(request.path_params["name"])
        if found is None:
            raise Refused(404, "DeploymentNotFound", "Deployment could not be found.")
        properties = {key: value for key, value in found.items() if key != "tags"}
        return JSONResponse({"tags": found["tags"], "properties": properties})

    async def forget_deployment(self, request: Request, body: None) -> Response:
        self.deployments.pop(request.path_params["name"], None)
        return Response(status_code=204)

    async def cancel_deployment(self, request: Request, body: None) -> Response:
        found = self.deployments.get(request.path_params["name"], {})
        if found.get("provisioningState") != "Running":
            raise Refused(409, "DeploymentCannotBeCancelled", "The deployment is over.")
        found["provisioningState"] = "Canceled"
        return Response(status_code=204)

    def _hindrance(self, resource: Json) -> Json | None:
        container = resource["properties"]["containers"][0]["properties"]
        cores = container["resources"]["requests"]["cpu"]
        if cores > CORES:
            return quota_error(cores)
        if not container["image"].startswith("flows:"):
            return image_error(container["image"], resource["name"])
        return None

    # Container groups.

    async def read_group(self, request: Request, body: None) -> Response:
        shown = self._group(request).shown
        self.check(shown, is_request=False)
        return JSONResponse(shown)

    async def delete_group(self, request: Request, body: None) -> Response:
        group = self.groups.get(request.path_params["name"])
        if group is None:
            return Response(status_code=204)
        name = request.path_params["name"]

        async def delete() -> None:
            await group.end()
            self.groups.pop(name, None)

        self._deletions[name] = asyncio.create_task(delete())
        headers = {"Location": f"{self.url}/deletions/{name}", "Retry-After": "0"}
        return JSONResponse(group.shown, 202, headers)

    async def stop_group(self, request: Request, body: None) -> Response:
        await self._group(request).end()
        return Response(status_code=204)

    async def read_log(self, request: Request, body: None) -> Response:
        group = self._group(request)
        if self.cuts_logs:
            self.cuts_logs -= 1
            raise Refused(500, "InternalServerError", "The log cannot be read now.")
        assert request.query_params["timestamps"] == "true"
        assert request.path_params["container"] == group.container["name"]
        return JSONResponse({"content": group.log})

    def _group(self, request: Request) -> Group:
        found = self.groups.get(request.path_params["name"])
        if found is None:
            raise Refused(404, "ResourceNotFound", "The Resource was not found.")
        return found

    # Operations.

    async def read_operation(self, request: Request, body: None) -> Response:
        found = self.deployments[request.path_params["name"]]
        answer = {"status": found["provisioningState"]}
        if "error" in found:
            answer["error"] = found["error"]
        return JSONResponse(answer, headers={"Retry-After": "0"})

    async def read_deletion(self, request: Request, body: None) -> Response:
        is_over = self._deletions[request.path_params["name"]].done()
        return Response(status_code=204 if is_over else 202, headers={"Retry-After": "0"})


@contextmanager
def running_azure(models: Models, certificate: tuple[Path, Path]) -> Iterator[FakeAzure]:
    """A stand-in in threads of its own."""
    azure = FakeAzure(models)
    routes = [
        ("PUT", DEPLOYMENT, azure.deploy),
        ("GET", DEPLOYMENT, azure.read_deployment),
        ("DELETE", DEPLOYMENT, azure.forget_deployment),
        ("POST", f"{DEPLOYMENT}/cancel", azure.cancel_deployment),
        ("GET", GROUP, azure.read_group),
        ("DELETE", GROUP, azure.delete_group),
        ("POST", f"{GROUP}/stop", azure.stop_group),
        ("GET", f"{GROUP}/containers/{{container}}/logs", azure.read_log),
        ("GET", "/operations/{name}", azure.read_operation),
        ("GET", "/deletions/{name}", azure.read_deletion),
    ]
    manager = Starlette(
        routes=[
            Route("/msi/token", _identity(azure)),
            *(
                Route(path, _endpoint(azure, answer), methods=[how])
                for how, path, answer in routes
            ),
        ]
    )
    authority = Starlette(
        routes=[
            Route("/{tenant}/v2.0/.well-known/openid-configuration", _discovery(azure)),
            Route("/{tenant}/oauth2/v2.0/token", _token(azure), methods=["POST"]),
        ]
    )
    key, chain = certificate
    tls = {"ssl_certfile": str(chain), "ssl_keyfile": str(key)}
    with (
        listening(manager, azure.close) as azure.port,
        listening(authority, _nothing, **tls) as azure.authority_port,
    ):
        yield azure
    assert azure.not_in_the_models == []


async def _nothing() -> None:
    return


def _endpoint(azure: FakeAzure, answer: Any) -> Any:
    async def endpoint(request: Request) -> Response:
        body = json.loads(await request.body() or b"null")
        azure.requests.append((request.method, request.url.path, body))
        try:
            token = request.headers.get("authorization", "").removeprefix("Bearer ")
            if token not in azure.tokens:
                raise Refused(401, "InvalidAuthenticationToken", "The access token is invalid.")
            if azure.refusals[request.method]:
                raise azure.refusals[request.method].pop(0)
            found: Response = await answer(request, body)
        except Refused as refused:
            told = {"error": {"code": refused.code, "message": refused.message}}
            return JSONResponse(told, refused.status, refused.headers)
        return found

    return endpoint


def _identity(azure: FakeAzure) -> Any:
    async def endpoint(request: Request) -> Response:
        assert request.query_params["resource"] == azure.url
        if request.headers["x-identity-header"] != IDENTITY_HEADER:
            return JSONResponse({"error": "invalid_request"}, 400)
        token = {"access_token": azure.token(), "token_type": "Bearer", "resource": azure.url}
        return JSONResponse({**token, "expires_on": str(int(time.time()) + 3600)})

    return endpoint


def _discovery(azure: FakeAzure) -> Any:
    async def endpoint(request: Request) -> Response:
        tenant = f"{azure.authority}/{request.path_params['tenant']}"
        return JSONResponse(
            {
                "issuer": f"{tenant}/v2.0",
                "authorization_endpoint": f"{tenant}/oauth2/v2.0/authorize",
                "token_endpoint": f"{tenant}/oauth2/v2.0/token",
            }
        )

    return endpoint


def _token(azure: FakeAzure) -> Any:
    async def endpoint(request: Request) -> Response:
        form = parse_qs((await request.body()).decode())
        if form["client_secret"] != [SECRET]:
            told = "AADSTS7000215: Invalid client secret provided."
            answer = {"error": "invalid_client", "error_description": told}
            return JSONResponse(answer, 401)
        answer = {"access_token": azure.token(), "token_type": "Bearer"}
        return JSONResponse({**answer, "expires_in": 3600})

    return endpoint
