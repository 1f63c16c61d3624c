"""What Azure does with container groups: real processes of this machine, and their ends."""

import asyncio
import copy
import json
import re
import signal
from datetime import UTC, datetime
from typing import Any

from tests.worker.local_process import LocalProcess

Json = dict[str, Any]

# What images do. Every other name is an image that cannot be pulled.
RUNS = "flows:1"
DIES_OF_MEMORY = "flows:greedy"
NEVER_STARTS = "flows:stuck"
CORES = 4  # what is left of the quota
LOCATION = "westeurope"

_PARAMETER = re.compile(r"\[parameters\('([^']+)'\)(?:\['((?:[^']|'')+)'\])?\]")


class NotATemplate(ValueError):
    """An expression or a parameter that a deployment cannot have."""


def resolved(value: Any, parameters: Json) -> Any:
    """`value` with its expressions replaced, as a deployment does."""
    if isinstance(value, dict):
        return {
            resolved(key, parameters): resolved(item, parameters) for key, item in value.items()
        }
    if isinstance(value, list):
        return [resolved(item, parameters) for item in value]
    if not isinstance(value, str) or not (value.startswith("[") and value.endswith("]")):
        return value
    if value.startswith("[["):
        return value[1:]
    if value == "[resourceGroup().location]":
        return LOCATION
    found = _PARAMETER.fullmatch(value)
    if found is None or found[1] not in parameters:
        raise NotATemplate(f"{value} cannot be evaluated")
    chosen = parameters[found[1]]
    return chosen[found[2].replace("''", "'")] if found[2] else chosen


def deployed(properties: Json) -> Json:
    """The container group that a deployment describes."""
    template = properties["template"]
    parameters = {}
    for name, declared in template["parameters"].items():
        given = properties["parameters"].get(name, {}).get("value", declared.get("defaultValue"))
        if given is None:
            raise NotATemplate(f"the parameter {name} has no value")
        parameters[name] = resolved(given, {}) if isinstance(given, str) else given
    if unknown := set(properties["parameters"]) - set(template["parameters"]):
        raise NotATemplate(f"the parameters {unknown} are not declared")
    [resource] = template["resources"]
    group: Json = resolved(copy.deepcopy(resource), parameters)
    return group


def quota_error(cores: float) -> Json:
    """What a deployment ends with that wants more cores than are left."""
    told = (
        "Resource type 'Microsoft.ContainerInstance/containerGroups' container group quota "
        f"'StandardCores' exceeded in region '{LOCATION}'. Limit: '10', Usage: '6' "
        f"Requested: '{cores:g}'."
    )
    inner = {"error": {"code": "ContainerGroupQuotaReached", "message": told}}
    return _failed_deployment("Conflict", json.dumps(inner, indent=2))


def image_error(image: str, name: str) -> Json:
    """What a deployment ends with whose image cannot be pulled."""
    return _failed_deployment(
        "InaccessibleImage",
        f"The image '{image}' in container group '{name}' is not accessible. Please check the "
        "image and registry credential.",
    )


def _failed_deployment(code: str, message: str) -> Json:
    return {
        "code": "DeploymentFailed",
        "message": "At least one resource deployment operation failed.",
        "details": [{"code": code, "message": message}],
    }


class Group:
    """One container group of the stand-in."""

    def __init__(self, resource: Json, id: str) -> None:
        self.resource = resource
        self.id = id
        self.process = LocalProcess()
        self.started = 0
        self.current: Json = {"state": "Waiting", "detailStatus": "Creating"}
        self.events: list[Json] = []
        self.state = "Pending"
        self.carried_out = asyncio.create_task(self._carry_out())

    @property
    def container(self) -> Json:
        """The run's container, as it was asked for."""
        found: Json = self.resource["properties"]["containers"][0]
        return found

    @property
    def shown(self) -> Json:
        """The group as Azure shows it: without what is secure."""
        shown = copy.deepcopy(self.resource)
        for entry in shown["properties"].get("imageRegistryCredentials", []):
            entry.pop("password", None)
        container = shown["properties"]["containers"][0]["properties"]
        for variable in container["environmentVariables"]:
            variable.pop("secureValue", None)
        container["instanceView"] = {
            "restartCount": 0,
            "currentState": self.current,
            "events": self.events,
        }
        shown["properties"] |= {
            "provisioningState": "Succeeded" if self.state != "Pending" else "Creating",
            "instanceView": {"state": self.state, "events": []},
        }
        return {**shown, "id": self.id}

    @property
    def log(self) -> str:
        """What the container has written, each line with its time."""
        return "".join(
            f"{at.strftime('%Y-%m-%dT%H:%M:%S.%f')}000Z {text}\n"
            for at, text in self.process.lines
        )

    async def end(self) -> None:
        """Stop the container."""
        self.process.signal(signal.SIGTERM)
        asyncio.get_running_loop().call_later(1, self.process.signal, signal.SIGKILL)
        if self.container["properties"]["image"] == NEVER_STARTS:
            self.carried_out.cancel()
        await asyncio.gather(self.carried_out, return_exceptions=True)

    async def close(self) -> None:
        """End the process."""
        self.carried_out.cancel()
        self.process.signal(signal.SIGKILL)
        await asyncio.gather(self.carried_out, return_exceptions=True)

    async def _carry_out(self) -> None:
        properties = self.container["properties"]
        if properties["image"] == NEVER_STARTS:
            warning = {
                "count": 1,
                "name": "Failed",
                "message": "Failed to mount the volume.",
                "type": "Warning",
            }
            self.events.append(warning)
            await asyncio.Event().wait()
        environment = {
            each["name"]: each.get("secureValue", each.get("value"))
            for each in properties["environmentVariables"]
        }
        self.state = "Running"
        self.current = {"state": "Running", "startTime": _now(), "detailStatus": ""}
        code = await self.process.run(properties["command"], environment)
        is_greedy = properties["image"] == DIES_OF_MEMORY
        detail = "OOMKilled" if is_greedy else "Error" if code else "Completed"
        self.current = {
            "state": "Terminated",
            "exitCode": code,
            "finishTime": _now(),
            "detailStatus": detail,
        }
        self.state = "Failed" if code else "Succeeded"


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
