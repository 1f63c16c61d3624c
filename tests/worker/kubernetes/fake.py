"""The API of a fake cluster on a free port: objects, watches, logs, and faults on demand.

Objects are checked against Kubernetes' published schemas; pods run real processes.
"""

import asyncio
import base64
import json
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from tests.worker.kubernetes.pods import Controller
from tests.worker.kubernetes.store import Manifest, Refused, Store, status_of

TOKEN = "cluster-token"
KINDS = {"jobs": "Job", "pods": "Pod", "secrets": "Secret", "events": "Event"}


class Cluster:
    """A running fake cluster."""

    def __init__(self) -> None:
        self.store = Store()
        self.controller = Controller(self.store)
        self.port = 0
        self.requests: list[tuple[str, str, Any]] = []  # method, path and body
        self.is_down = False  # answers 503 to everything
        self.lost_answers = 0  # of the next objects that are made
        self.cut_logs = 0  # of the next logs, after their first line
        self.loop: asyncio.AbstractEventLoop | None = None

    @property
    def kubeconfig(self) -> Manifest:
        """How a client finds this cluster."""
        return self.kubeconfig_with(TOKEN)

    def kubeconfig_with(self, token: str) -> Manifest:
        """The same with other credentials."""
        server = f"http://127.0.0.1:{self.port}"
        return {
            "current-context": "test",
            "clusters": [{"name": "fake", "cluster": {"server": server}}],
            "users": [{"name": "worker", "user": {"token": token}}],
            "contexts": [{"name": "test", "context": {"cluster": "fake", "user": "worker"}}],
        }

    def created(self, kind: str) -> list[Manifest]:
        """Bodies of the requests that made objects of a kind."""
        return [
            body for method, _, body in self.requests if method == "POST" and body["kind"] == kind
        ]

    def objects(self, kind: str) -> list[Manifest]:
        """What there is of a kind now."""
        return [found for (of_kind, _, _), found in self.store.objects.items() if of_kind == kind]

    def break_watches(self, *, forget: bool = False) -> None:
        """End all watches; with `forget` their versions are too old afterwards."""
        assert self.loop is not None
        self.loop.call_soon_threadsafe(lambda: self.store.break_watches(forget=forget))


@contextmanager
def running_cluster() -> Iterator[Cluster]:
    """A cluster in a thread of its own."""
    cluster = Cluster()
    app = Starlette(
        routes=[
            Route("/api/v1/namespaces/{namespace}/pods/{name}/log", _endpoint(cluster, _log)),
            *(
                Route(
                    f"{prefix}/namespaces/{{namespace}}/{{plural}}{name}",
                    endpoint,
                    methods=methods,
                )
                for prefix in ("/api/v1", "/apis/batch/v1")
                for name, methods, endpoint in (
                    ("", ["GET"], _endpoint(cluster, _filter)),
                    ("", ["POST"], _endpoint(cluster, _create)),
                    ("/{name}", ["GET"], _endpoint(cluster, _read)),
                    ("/{name}", ["DELETE"], _endpoint(cluster, _delete)),
                )
            ),
        ]
    )
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="off", ws="none"))
    listening = socket.create_server(("127.0.0.1", 0))  # what comes before it serves, waits
    cluster.port = listening.getsockname()[1]

    async def serve() -> None:
        cluster.loop = asyncio.get_running_loop()
        await server.serve(sockets=[listening])
        await cluster.controller.close()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    yield cluster
    server.force_exit = server.should_exit = True
    cluster.break_watches()
    thread.join(20)


def _endpoint(cluster: Cluster, answer: Any) -> Any:
    async def endpoint(request: Request) -> Response:
        body = json.loads(await request.body() or b"null")
        cluster.requests.append((request.method, request.url.path, body))
        try:
            if cluster.is_down:
                raise Refused(503, "ServiceUnavailable", "the server is currently unable")
            if request.headers.get("authorization") != f"Bearer {TOKEN}":
                raise Refused(401, "Unauthorized", "Unauthorized")
            found: Response = await answer(cluster, request, body)
        except Refused as refused:
            return JSONResponse(status_of(refused), refused.status)
        return found

    return endpoint


async def _create(cluster: Cluster, request: Request, body: Manifest) -> Response:
    if body["kind"] == "Secret":
        plain = body.pop("stringData", {})
        encoded = {
            name: base64.b64encode(value.encode()).decode() for name, value in plain.items()
        }
        body["data"] = {**body.get("data", {}), **encoded}
    made = cluster.store.create(body)
    if body["kind"] == "Job":
        cluster.controller.take(made)
    if cluster.lost_answers:
        cluster.lost_answers -= 1
        raise Refused(504, "Timeout", "the answer got lost")
    headers = {"Warning": '299 - "unknown field"'} if "odd" in str(body) else None
    return JSONResponse(made, 201, headers)


async def _read(cluster: Cluster, request: Request, body: None) -> Response:
    return JSONResponse(cluster.store.read(*_key(request)))


async def _filter(cluster: Cluster, request: Request, body: None) -> Response:
    kind, namespace = KINDS[request.path_params["plural"]], request.path_params["namespace"]
    query = dict(request.query_params)
    if query.get("watch") == "true":

        async def events() -> AsyncIterator[bytes]:
            async for event in cluster.store.watch(kind, namespace, query):
                yield json.dumps(event).encode() + b"\n"

        return StreamingResponse(events())
    items = cluster.store.filter(kind, namespace, query)
    metadata = {"resourceVersion": str(cluster.store.version)}
    return JSONResponse({"kind": f"{kind}List", "metadata": metadata, "items": items})


async def _delete(cluster: Cluster, request: Request, body: None) -> Response:
    found = cluster.store.read(*_key(request))
    assert request.query_params["propagationPolicy"] == "Foreground"
    removing = asyncio.create_task(cluster.controller.remove(found))
    await asyncio.sleep(0)
    assert removing
    return JSONResponse(found)


async def _log(cluster: Cluster, request: Request, body: None) -> Response:
    namespace, name = request.path_params["namespace"], request.path_params["name"]
    pod = cluster.store.read("Pod", namespace, name)
    uid = pod["metadata"]["uid"]
    if uid not in cluster.controller.logs:
        raise Refused(400, "BadRequest", "container is waiting to start")
    is_cut = cluster.cut_logs > 0
    cluster.cut_logs -= is_cut
    since = request.query_params.get("sinceTime", "")

    async def lines() -> AsyncIterator[bytes]:
        sent = 0
        while True:
            known = cluster.controller.logs[uid]
            for time, text in known[sent:]:
                stamp = time.strftime("%Y-%m-%dT%H:%M:%S.%f") + "000Z"
                if stamp >= since.rstrip("Z"):
                    yield f"{stamp} {text}\n".encode()
                    if is_cut:
                        raise ConnectionError("the connection is cut")
            sent = len(known)
            current = cluster.store.objects.get(("Pod", namespace, name), {})
            if current.get("status", {}).get("phase") not in ("Pending", "Running"):
                return
            await cluster.store.change()

    return StreamingResponse(lines())


def _key(request: Request) -> tuple[str, str, str]:
    path = request.path_params
    return KINDS[path["plural"]], path["namespace"], path["name"]
