"""Runs as container groups of Azure. What is asked for is in `azure_request`."""

import asyncio

from forebay_worker.base import Assignment, Outcome, StartFailed, WorkerType
from forebay_worker.infrastructure import adopted_claim
from forebay_worker.output import Output
from forebay_worker.worker_types import azure_request as requests
from forebay_worker.worker_types.azure_group import DEPLOYMENTS_VERSION, Place, WatchedGroup
from forebay_worker.worker_types.azure_manager import AzureManager, operation_url
from forebay_worker.worker_types.azure_request import AzureContainerInstanceConfiguration
from forebay_worker.worker_types.cloud import CloudError, patiently

ACTIVE = "DeploymentActive"  # an earlier try, whose answer was lost, has begun it


class AzureContainerInstanceWorker(WorkerType[AzureContainerInstanceConfiguration]):
    """The worker type `azure-container-instance`. An id is `RESOURCE_GROUP/CONTAINER_GROUP`."""

    worker_type = "azure-container-instance"
    outlives_worker = True
    configuration = AzureContainerInstanceConfiguration

    def __init__(self) -> None:
        self._managers: dict[str, AzureManager] = {}
        self._running: dict[str, WatchedGroup] = {}

    async def start(
        self, configuration: AzureContainerInstanceConfiguration, assignment: Assignment
    ) -> str:
        """Begin the deployment of the group; how it goes on is watched."""
        manager = self._manager(configuration)
        body = requests.deployment(configuration, assignment)
        place = _place(configuration, assignment)
        try:
            answer = await patiently(
                lambda: manager.send("PUT", place.deployment, DEPLOYMENTS_VERSION, body)
            )
            url = operation_url(answer)
        except CloudError as error:
            if error.code != ACTIVE:
                raise StartFailed(f"Azure refuses: {error}.") from None
            url = None
        return self._hold(manager, configuration, assignment, place, url)

    async def adopt(
        self,
        infrastructure_id: str,
        configuration: AzureContainerInstanceConfiguration,
        assignment: Assignment,
    ) -> str | None:
        """Watch a group, or its deployment; lines go on after the last one stored."""
        manager = self._manager(configuration)
        _, _, name = infrastructure_id.rpartition("/")
        place = _place(configuration, assignment, name)
        try:
            found = await patiently(lambda: manager.read(place.group, place.version))
            if found is None:
                found = await patiently(
                    lambda: manager.read(place.deployment, DEPLOYMENTS_VERSION)
                )
        except CloudError as error:
            raise StartFailed(f"Azure refuses: {error}.") from None
        tags = (found or {}).get("tags") or {}
        claim = adopted_claim(requests.read_marks(tags, assignment), assignment)
        if claim is not None:
            self._hold(manager, configuration, assignment, place, None)
        return claim

    async def wait(self, infrastructure_id: str) -> Outcome:
        """How the group ended; by then what it wrote has been handed on."""
        outcome = await self._running[infrastructure_id].wait()
        del self._running[infrastructure_id]
        return outcome

    async def kill(self, infrastructure_id: str, grace_seconds: float) -> None:
        """Delete the group, or stop it if it is kept; Azure knows no other grace than its own."""
        running = self._running.get(infrastructure_id)
        if running is not None:
            await running.end()

    async def close(self) -> None:
        """Close the connections to Azure."""
        for running in self._running.values():
            running.leave()
        await asyncio.gather(*(manager.close() for manager in self._managers.values()))

    def _manager(self, configuration: AzureContainerInstanceConfiguration) -> AzureManager:
        credentials = configuration.aci_credentials
        if credentials.key not in self._managers:
            self._managers[credentials.key] = AzureManager(credentials)
        return self._managers[credentials.key]

    def _hold(
        self,
        manager: AzureManager,
        configuration: AzureContainerInstanceConfiguration,
        assignment: Assignment,
        place: Place,
        url: str | None,
    ) -> str:
        output = Output(configuration, assignment, is_shown=configuration.stream_output)
        running = WatchedGroup(manager, configuration, place, output, assignment.logged_until, url)
        self._running[running.id] = running
        return running.id


def _place(
    configuration: AzureContainerInstanceConfiguration,
    assignment: Assignment,
    name: str | None = None,
) -> Place:
    """Where the run's group is; under another name, if it was started under an earlier claim."""
    own = requests.group_name(configuration, assignment)
    container = requests.container_name(configuration, assignment)
    return Place(
        configuration.subscription_id.get_secret_value(),
        configuration.resource_group_name,
        name or own,
        name if name and container == own else container,
        requests.api_version(configuration),
    )
