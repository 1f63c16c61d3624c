"""Plain requests to the API of a Kubernetes cluster. Knows no run; objects are what was sent.

Address, certificates and credentials are read by lightkube, from the pod's service account, from
`KUBECONFIG`, or from a kubeconfig that is given.
"""

import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx2 as httpx
from lightkube.config.client_adapter import AsyncClient, ConnectionParams
from lightkube.config.kubeconfig import KubeConfig
from lightkube.config.models import User
from lightkube.core.exceptions import ConfigError

from forebay.errors import ForebayError

Manifest = dict[str, Any]

TIMEOUT = httpx.Timeout(10.0)
NO_READ_TIMEOUT = httpx.Timeout(10.0, read=None)  # for what is followed
NOT_FOUND, CONFLICT, GONE = 404, 409, 410
PASSING = (408, 429, 500, 502, 503, 504)
COLLECTIONS = {
    "Job": "/apis/batch/v1/namespaces/{}/jobs",
    "Pod": "/api/v1/namespaces/{}/pods",
    "Secret": "/api/v1/namespaces/{}/secrets",
    "Event": "/api/v1/namespaces/{}/events",
}


class NoCluster(ForebayError):
    """There is no usable description of a cluster; the text says what is wrong."""


class ClusterError(ForebayError):
    """The cluster refused, or did not answer; `status` is 0 then."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status

    @property
    def is_passing(self) -> bool:
        """Whether the same request may succeed later."""
        return self.status == 0 or self.status in PASSING


class Cluster:
    """A connection to one cluster."""

    def __init__(
        self, config: Mapping[str, Any] | None = None, context: str | None = None
    ) -> None:
        """Of a kubeconfig and one of its contexts. Raises `NoCluster`."""
        try:
            found = KubeConfig.from_dict(dict(config)) if config else KubeConfig.from_env()
            chosen = found.get(context)
            assert chosen is not None
            if chosen.user is None:
                chosen = chosen._replace(user=User())
            self._http: httpx.AsyncClient = AsyncClient(chosen, ConnectionParams(timeout=TIMEOUT))
        except (ConfigError, KeyError, TypeError, ValueError, OSError) as error:
            told = f"{error} is missing" if isinstance(error, KeyError) else str(error)
            raise NoCluster(f"No Kubernetes cluster can be used: {told}.") from None

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def create(self, manifest: Manifest) -> tuple[Manifest, list[str]]:
        """Make an object; the object made, and what the cluster warns of. Raises `ClusterError`."""
        path = COLLECTIONS[manifest["kind"]].format(manifest["metadata"]["namespace"])
        # Unknown fields are told instead of being dropped in silence.
        answer = await self._send("POST", path, {"fieldValidation": "Warn"}, manifest)
        warnings = [_warning(text) for text in answer.headers.get_list("warning")]
        return answer.json(), warnings

    async def read(self, kind: str, namespace: str, name: str) -> Manifest:
        """One object. Raises `ClusterError`."""
        answer = await self._send("GET", f"{COLLECTIONS[kind].format(namespace)}/{name}")
        found: Manifest = answer.json()
        return found

    async def filter(self, kind: str, namespace: str, **selectors: str) -> Manifest:
        """A list of objects, with the version from which it can be watched. Raises `ClusterError`.

        Lists of one run's objects are short: there are no pages.
        """
        answer = await self._send("GET", COLLECTIONS[kind].format(namespace), selectors)
        found: Manifest = answer.json()
        return found

    async def delete(self, kind: str, namespace: str, name: str) -> None:
        """Delete an object after all that it owns. Raises `ClusterError`."""
        path = f"{COLLECTIONS[kind].format(namespace)}/{name}"
        await self._send("DELETE", path, {"propagationPolicy": "Foreground"})

    async def watch(
        self, kind: str, namespace: str, version: str, **selectors: str
    ) -> AsyncGenerator[Manifest, None]:
        """Events since a version, until the cluster ends the watch. Raises `ClusterError`."""
        query = {"watch": "true", "allowWatchBookmarks": "true", "resourceVersion": version}
        path = COLLECTIONS[kind].format(namespace)
        async with self._followed(path, {**query, **selectors}) as answer:
            async for line in _lines(answer):
                event = _event(line)
                if event["type"] == "ERROR":
                    raise ClusterError(event["object"].get("code", 0), _told(event["object"]))
                yield event

    async def log(
        self, namespace: str, pod: str, container: str, since: str | None
    ) -> AsyncGenerator[str, None]:
        """Lines of a container with their times, until it ends. Raises `ClusterError`."""
        query = {"container": container, "follow": "true", "timestamps": "true"}
        if since:
            query["sinceTime"] = since
        path = f"{COLLECTIONS['Pod'].format(namespace)}/{pod}/log"
        async with self._followed(path, query) as answer:
            async for line in _lines(answer):
                yield line

    async def _send(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: Manifest | None = None,
    ) -> httpx.Response:
        try:
            answer = await self._http.request(method, path, params=query, json=body)
        except httpx.HTTPError as error:
            raise _unreachable(error) from None
        _require_success(answer)
        return answer

    @asynccontextmanager
    async def _followed(
        self, path: str, query: Mapping[str, str]
    ) -> AsyncIterator[httpx.Response]:
        try:
            async with self._http.stream(
                "GET", path, params=query, timeout=NO_READ_TIMEOUT
            ) as answer:
                if not answer.is_success:
                    await answer.aread()
                _require_success(answer)
                yield answer
        except httpx.HTTPError as error:
            raise _unreachable(error) from None


async def _lines(answer: httpx.Response) -> AsyncIterator[str]:
    """Lines as they arrive. Only a line feed ends one; `aiter_lines` knows many more ends."""
    rest = b""
    async for data in answer.aiter_bytes():
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            yield line.decode(errors="replace")
    if rest:
        yield rest.decode(errors="replace")


def _event(line: str) -> Manifest:
    try:
        event: Manifest = json.loads(line)
    except ValueError:
        raise ClusterError(0, "an event broke off") from None
    return event


def _require_success(answer: httpx.Response) -> None:
    if answer.is_success:
        return
    try:
        status = answer.json()
    except ValueError:
        status = {}
    told = _told(status) if isinstance(status, dict) else ""
    raise ClusterError(answer.status_code, told or f"HTTP {answer.status_code}")


def _told(status: Mapping[str, Any]) -> str:
    return str(status.get("message") or status.get("reason") or "").strip()


def _unreachable(error: httpx.HTTPError) -> ClusterError:
    return ClusterError(0, f"no answer ({error or type(error).__name__})")


def _warning(header: str) -> str:
    """The text of a header such as `299 - "unknown field"`."""
    return header.partition('"')[2].rstrip('"') or header
