"""Objects of a fake cluster with versions and history, as the real API keeps them."""

import asyncio
import copy
import itertools
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import kubernetes_validate

Manifest = dict[str, Any]

VERSION = "1.30"  # of the API whose schemas objects must fit
BOOKMARK_SECONDS = 0.3


class Refused(Exception):
    """A request that the API refuses, with its HTTP status and reason."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status, self.reason = status, reason


def now() -> str:
    """The time as metadata has it: whole seconds."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Store:
    """Jobs, pods, secrets and events by kind, namespace and name."""

    def __init__(self) -> None:
        self.namespaces = {"default", "flows"}
        self.quotas: dict[str, int] = {}  # most jobs of a namespace
        self.objects: dict[tuple[str, str, str], Manifest] = {}
        self.history: list[tuple[int, str, Manifest]] = []
        self.oldest = 0  # versions before it can no longer be watched
        self.watch_breaks = 0  # grows when all watches are to break off
        self._versions = itertools.count(100)
        self.version = next(self._versions)
        self._changed = asyncio.Event()

    def create(self, manifest: Manifest) -> Manifest:
        """Make an object. Raises `Refused`."""
        made = copy.deepcopy(manifest)
        metadata = made["metadata"]
        namespace = metadata.setdefault("namespace", "default")
        if namespace not in self.namespaces:
            raise Refused(404, "NotFound", f'namespaces "{namespace}" not found')
        if "name" not in metadata:
            metadata["name"] = metadata["generateName"] + uuid.uuid4().hex[:5]
        _validate(made)
        key = (made["kind"], namespace, metadata["name"])
        if key in self.objects:
            plural = made["kind"].lower() + "s"
            raise Refused(409, "AlreadyExists", f'{plural} "{metadata["name"]}" already exists')
        self._check_quota(made, namespace)
        metadata |= {"uid": str(uuid.uuid4()), "creationTimestamp": now()}
        return self._store("ADDED", made)

    def _check_quota(self, made: Manifest, namespace: str) -> None:
        most = self.quotas.get(namespace)
        if most is None or made["kind"] != "Job":
            return
        used = sum(key[:2] == ("Job", namespace) for key in self.objects)
        if used >= most:
            told = f"used: count/jobs.batch={used}, limited: count/jobs.batch={most}"
            name = made["metadata"]["name"]
            raise Refused(
                403,
                "Forbidden",
                f'jobs.batch "{name}" is forbidden: exceeded quota: jobs, '
                f"requested: count/jobs.batch=1, {told}",
            )

    def read(self, kind: str, namespace: str, name: str) -> Manifest:
        """An object. Raises `Refused`."""
        try:
            return self.objects[kind, namespace, name]
        except KeyError:
            plural = kind.lower() + "s"
            raise Refused(404, "NotFound", f'{plural} "{name}" not found') from None

    def update(self, manifest: Manifest, **changes: Any) -> Manifest:
        """Change keys of an object; a deleted one stays deleted."""
        metadata = manifest["metadata"]
        current = self.objects.get((manifest["kind"], metadata["namespace"], metadata["name"]))
        if current is None or current["metadata"]["uid"] != metadata["uid"]:
            return manifest
        return self._store("MODIFIED", {**copy.deepcopy(current), **changes})

    def delete(self, manifest: Manifest) -> None:
        """Delete an object and the secrets that it owns."""
        metadata = manifest["metadata"]
        found = self.objects.pop((manifest["kind"], metadata["namespace"], metadata["name"]), None)
        if found is None:
            return
        self._remember("DELETED", copy.deepcopy(found))
        for other in [*self.objects.values()]:
            owners = other["metadata"].get("ownerReferences", ())
            if any(owner["uid"] == metadata["uid"] for owner in owners):
                self.delete(other)

    def filter(self, kind: str, namespace: str, query: dict[str, str]) -> list[Manifest]:
        """Objects that the selectors of a query name."""
        return [
            found
            for (of_kind, of_namespace, _), found in self.objects.items()
            if (of_kind, of_namespace) == (kind, namespace) and _is_selected(found, query)
        ]

    async def watch(
        self, kind: str, namespace: str, query: dict[str, str]
    ) -> AsyncIterator[Manifest]:
        """Events after the version of the query, and bookmarks when nothing happens."""
        seen = int(query["resourceVersion"])
        breaks = self.watch_breaks
        while breaks == self.watch_breaks:
            if seen < self.oldest:
                yield {"type": "ERROR", "object": _status(410, "Expired", "too old a version")}
                return
            changed = self._changed
            for version, type, found in self.history:
                is_meant = found["kind"] == kind and found["metadata"]["namespace"] == namespace
                if version > seen and is_meant and _is_selected(found, query):
                    yield {"type": type, "object": found}
            seen = self.version
            try:
                async with asyncio.timeout(BOOKMARK_SECONDS):
                    await changed.wait()
            except TimeoutError:
                metadata = {"resourceVersion": str(seen)}
                yield {"type": "BOOKMARK", "object": {"kind": kind, "metadata": metadata}}

    async def change(self) -> None:
        """Return when anything changes."""
        await self._changed.wait()

    def break_watches(self, *, forget: bool = False) -> None:
        """End every watch; with `forget` no version so far can be watched any more."""
        if forget:
            self.oldest = self.version + 1
            self.version = next(self._versions)
        self.watch_breaks += 1
        self.notify()

    def _store(self, type: str, manifest: Manifest) -> Manifest:
        metadata = manifest["metadata"]
        self.objects[manifest["kind"], metadata["namespace"], metadata["name"]] = manifest
        self._remember(type, manifest)
        return manifest

    def _remember(self, type: str, manifest: Manifest) -> None:
        self.version = next(self._versions)
        manifest["metadata"] = {**manifest["metadata"], "resourceVersion": str(self.version)}
        self.history.append((self.version, type, copy.deepcopy(manifest)))
        self.notify()

    def notify(self) -> None:
        """Wake whoever waits for a change."""
        self._changed.set()
        self._changed = asyncio.Event()


def _validate(manifest: Manifest) -> None:
    """Refuse what the published schemas do not know, so that no test relies on it."""
    try:
        kubernetes_validate.validate(manifest, VERSION, strict=True)
    except kubernetes_validate.ValidationError as error:
        raise Refused(422, "Invalid", str(error).splitlines()[0]) from None


def _is_selected(found: Manifest, query: dict[str, str]) -> bool:
    labels = found["metadata"].get("labels", {})
    for term in filter(None, query.get("labelSelector", "").split(",")):
        name, _, value = term.partition("=")
        if labels.get(name) != value:
            return False
    for term in filter(None, query.get("fieldSelector", "").split(",")):
        path, _, value = term.partition("=")
        at: Any = found
        for key in path.split("."):
            at = at.get(key, {})
        if at != value:
            return False
    return True


def _status(code: int, reason: str, message: str) -> Manifest:
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "code": code,
        "reason": reason,
        "message": message,
    }


def status_of(refused: Refused) -> Manifest:
    """The body that tells of a refusal."""
    return _status(refused.status, refused.reason, str(refused))
