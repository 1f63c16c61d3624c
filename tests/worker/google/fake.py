"""A fake Google Cloud on a free port: tokens, Cloud Run, Vertex AI, Cloud Logging, faults on demand.

Requests and answers are checked against Google's own descriptions of its APIs; what they do not
know is refused, and remembered for the test. Containers are real processes.
"""

import asyncio
import itertools
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google.auth import jwt
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.worker.google.containers import Log
from tests.worker.google.discovery import Api, Violation, api
from tests.worker.google.executions import PROJECT, CloudRun, Json, Refused
from tests.worker.google.run_v1 import RunV1
from tests.worker.google.run_v2 import RunV2
from tests.worker.google.vertex import Vertex
from tests.worker.local_process import listening

STATIC_TOKEN = "static-token"
AUDIENCE = "https://oauth2.googleapis.com/token"  # of what is signed, wherever it is sent


@dataclass(frozen=True)
class Sent:
    """A request that was understood."""

    method: str  # its id in the API's description
    region: str
    path: str
    query: dict[str, str]
    body: Any


class Cloud:
    """A running fake cloud."""

    def __init__(self) -> None:
        self.log = Log()
        self.cloud_run = CloudRun(self.log)
        self.vertex = Vertex(self.log)
        self.port = 0
        self.sent: list[Sent] = []
        self.violations: list[str] = []
        self.keys: dict[str, str] = {}  # public ones of service accounts, by e-mail
        self.tokens = {STATIC_TOKEN}
        self.is_down = False  # answers 503 to everything
        self.throttled = 0  # how many of the next requests that make something are too many
        self.exhausted: str | None = None  # the quota that is used up for all that makes something
        self.lost_answers: dict[str, int] = {}  # of the next calls of methods, by end of their ids
        self._numbers = itertools.count()

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def endpoints(self) -> dict[str, str]:
        """The environment in which clients find this cloud."""
        names = {
            "RUN": "run/{region}",
            "AIPLATFORM": "aiplatform/{region}",
            "LOGGING": "logging/-",
        }
        return {
            f"CLOUDSDK_API_ENDPOINT_OVERRIDES_{name}": f"{self.url}/{path}"
            for name, path in names.items()
        }

    @property
    def executed(self) -> int:
        """How many containers were started."""
        return self.cloud_run.executed + self.vertex.executed

    def bodies(self, end: str) -> list[Json]:
        """Bodies of the requests to a method, by the end of its id."""
        return [sent.body for sent in self.sent if sent.method.endswith(end)]

    def service_account(self, *, is_known: bool = True) -> Json:
        """The key of a service account, as Google hands it out."""
        email = f"robot-{next(self._numbers)}@{PROJECT}.iam.gserviceaccount.com"
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        if is_known:
            public = key.public_key().public_bytes(
                serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
            )
            self.keys[email] = public.decode()
        private = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        return {
            "type": "service_account",
            "project_id": PROJECT,
            "private_key_id": "1",
            "private_key": private.decode(),
            "client_email": email,
            "client_id": "1",
            "token_uri": f"{self.url}/token",
        }


@contextmanager
def running_cloud() -> Iterator[Cloud]:
    """A cloud in a thread of its own."""
    cloud = Cloud()
    answers = _Answers(cloud)
    app = Starlette(
        routes=[
            Route("/token", answers.token, methods=["POST"]),
            Route(
                "/{name}/{region}/{path:path}",
                answers.api,
                methods=["GET", "POST", "DELETE", "PATCH", "PUT"],
            ),
        ]
    )
    with listening(app, answers.close) as cloud.port:
        yield cloud


class _Answers:
    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._run_v1 = RunV1(cloud.cloud_run)
        self._run_v2 = RunV2(cloud.cloud_run)

    async def close(self) -> None:
        """End every process."""
        run, vertex = self._cloud.cloud_run, self._cloud.vertex
        running = [execution for job in run.jobs.values() for execution in job.executions]
        for each in (*running, *vertex.jobs.values()):
            if each.container:
                await each.container.terminate()
            if each.task:
                await asyncio.wait({each.task})

    async def token(self, request: Request) -> Response:
        """A token for whoever signs with a key that is known."""
        form = dict(pair.split("=", 1) for pair in (await request.body()).decode().split("&"))
        claims = jwt.decode(form["assertion"], verify=False)  # type: ignore[no-untyped-call]
        try:
            key = self._cloud.keys[claims["iss"]]
            jwt.decode(  # type: ignore[no-untyped-call]
                form["assertion"], certs=[key], audience=AUDIENCE
            )
        except (KeyError, ValueError):
            refusal = {"error": "invalid_grant", "error_description": "Invalid JWT Signature."}
            return JSONResponse(refusal, 400)
        token = f"token-{len(self._cloud.tokens)}"
        self._cloud.tokens.add(token)
        return JSONResponse({"access_token": token, "expires_in": 3600, "token_type": "Bearer"})

    async def api(self, request: Request) -> Response:
        """A method of one of the APIs."""
        cloud = self._cloud
        try:
            if cloud.is_down:
                raise Refused(503, "UNAVAILABLE", "The service is currently unavailable.")
            token = request.headers.get("authorization", "").removeprefix("Bearer ")
            if token not in cloud.tokens:
                raise Refused(401, "UNAUTHENTICATED", "Request had invalid credentials.")
            return JSONResponse(await self._answer(request))
        except Refused as refused:
            error = {
                "code": refused.status,
                "status": refused.name,
                "message": str(refused),
                "details": refused.details,
            }
            return JSONResponse({"error": error}, refused.status)
        except Violation as violation:
            cloud.violations.append(str(violation))
            error = {"code": 400, "status": "INVALID_ARGUMENT", "message": str(violation)}
            return JSONResponse({"error": error}, 400)

    async def _answer(self, request: Request) -> Json:
        cloud = self._cloud
        name, region = request.path_params["name"], request.path_params["region"]
        path, query = request.path_params["path"], dict(request.query_params)
        body = json.loads(await request.body() or b"null")
        found: Api = {
            "run": lambda: api("run.v2" if path.startswith("v2/") else "run.v1"),
            "aiplatform": lambda: api("aiplatform.v1"),
            "logging": lambda: api("logging.v2"),
        }[name]()
        method, parameters = found.find(request.method, path)
        method.check_request(query, body)
        cloud.sent.append(Sent(method.id, region, path, query, body))
        if method.id.endswith(".create"):
            self._refuse_too_many()
        if method.id == "logging.entries.list":
            answer = cloud.log.list(body)
        elif name == "aiplatform":
            answer = await cloud.vertex.answer(method.id, region, parameters, query, body)
        else:
            api_version = self._run_v2 if path.startswith("v2/") else self._run_v1
            answer = await api_version.answer(method.id, region, parameters, query, body)
        method.check_response(answer)
        for end, count in cloud.lost_answers.items():
            if count and method.id.endswith(end):
                cloud.lost_answers[end] -= 1
                raise Refused(504, "DEADLINE_EXCEEDED", "The answer got lost.")
        return answer

    def _refuse_too_many(self) -> None:
        cloud = self._cloud
        if cloud.throttled:
            cloud.throttled -= 1
            detail = {
                "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                "reason": "RATE_LIMIT_EXCEEDED",
                "metadata": {"quota_metric": "run.googleapis.com/write_requests"},
            }
            raise Refused(429, "RESOURCE_EXHAUSTED", "Quota exceeded for writes.", [detail])
        if cloud.exhausted:
            violation = {"subject": cloud.exhausted, "description": "Quota exceeded."}
            detail = {
                "@type": "type.googleapis.com/google.rpc.QuotaFailure",
                "violations": [violation],
            }
            message = f"The following quotas are exceeded: {cloud.exhausted}"
            raise Refused(429, "RESOURCE_EXHAUSTED", message, [detail])
