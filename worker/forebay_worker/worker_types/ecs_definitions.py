"""Task definitions that exist: each is registered once, and a family's one after another."""

import asyncio
from collections import defaultdict
from typing import Any

from forebay_worker.worker_types.aws_access import Aws
from forebay_worker.worker_types.cloud import CloudError, patiently
from forebay_worker.worker_types.ecs_request import fingerprint, is_same

Json = dict[str, Any]


class Definitions:
    """The definitions of one holder of credentials, as far as they have been needed."""

    def __init__(self, aws: Aws) -> None:
        self._aws = aws
        self._registered: dict[str, Json] = {}  # by the fingerprint of what was rendered
        self._read: dict[str, Json] = {}  # by what the user calls them
        self._families: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def provide(self, rendered: Json, *, match_latest: bool) -> Json:
        """The definition for `rendered`, registered unless it is there. Raises `CloudError`."""
        key = fingerprint(rendered)
        # ECS refuses two registrations of a family at once, and throttles all of them.
        async with self._families[rendered["family"]]:
            found = self._registered.get(key)
            if found is None and match_latest:
                found = await self._latest(rendered)
            if found is None:
                answer = await patiently(
                    lambda: self._aws.ask("ecs", "register_task_definition", **rendered)
                )
                found = answer["taskDefinition"]
            self._registered[key] = found
        return found

    async def read(self, name: str) -> Json:
        """A definition of the user's own. Raises `CloudError`."""
        if name not in self._read:
            self._read[name] = await self._describe(name)
        return self._read[name]

    def forget(self, arn: str) -> None:
        """Look for this definition anew, or register it anew, when it is needed again."""
        for known in (self._registered, self._read):
            for key in [key for key, found in known.items() if found["taskDefinitionArn"] == arn]:
                del known[key]

    async def deregister(self, arn: str) -> None:
        """Take a definition away; tasks of it go on. Raises `CloudError`."""
        self.forget(arn)
        await patiently(
            lambda: self._aws.ask("ecs", "deregister_task_definition", taskDefinition=arn)
        )

    async def _latest(self, rendered: Json) -> Json | None:
        try:
            found = await self._describe(rendered["family"])
        except CloudError as error:
            if error.is_passing or error.code != "ClientException":
                raise
            return None  # there is no such family yet
        return found if is_same(rendered, found) else None

    async def _describe(self, name: str) -> Json:
        answer = await patiently(
            lambda: self._aws.ask("ecs", "describe_task_definition", taskDefinition=name)
        )
        found: Json = answer["taskDefinition"]
        return found
