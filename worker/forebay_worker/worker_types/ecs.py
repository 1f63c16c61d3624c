"""Runs as tasks of AWS's Elastic Container Service. What is asked for is in `ecs_request`."""

import asyncio
import logging
from typing import Any

from forebay_worker.base import Assignment, Outcome, StartFailed, WorkerType
from forebay_worker.infrastructure import adopted_claim, marks
from forebay_worker.output import Output
from forebay_worker.worker_types import ecs_request as requests
from forebay_worker.worker_types.aws_access import Aws
from forebay_worker.worker_types.cloud import CloudError, patiently
from forebay_worker.worker_types.ecs_definitions import Definitions
from forebay_worker.worker_types.ecs_log import LogTail, log_stream
from forebay_worker.worker_types.ecs_request import EcsConfiguration
from forebay_worker.worker_types.ecs_task import WatchedTask

logger = logging.getLogger(__name__)

Json = dict[str, Any]

# Why a cluster has no room; it may have some soon.
NO_ROOM = ("RESOURCE:", "AGENT", "Capacity is unavailable")
INACTIVE = "inactive"  # ECS tells of a definition that was deregistered by this word only


class Account:
    """One holder of credentials, with what is known of the account."""

    def __init__(self, aws: Aws) -> None:
        self.aws = aws
        self.definitions = Definitions(aws)
        self._subnets: dict[str | None, list[str]] = {}

    async def subnets(self, vpc_id: str | None) -> list[str]:
        """All subnets of a VPC, or of the default one. Raises `CloudError`."""
        if vpc_id not in self._subnets:
            self._subnets[vpc_id] = await patiently(lambda: self._read_subnets(vpc_id))
        return self._subnets[vpc_id]

    async def _read_subnets(self, vpc_id: str | None) -> list[str]:
        found = vpc_id
        if found is None:
            default = {"Name": "is-default", "Values": ["true"]}
            vpcs = (await self.aws.ask("ec2", "describe_vpcs", Filters=[default]))["Vpcs"]
            if not vpcs:
                raise CloudError("there is no default VPC; set vpc_id or network_configuration")
            found = vpcs[0]["VpcId"]
        of_vpc = {"Name": "vpc-id", "Values": [found]}
        answer = await self.aws.ask("ec2", "describe_subnets", Filters=[of_vpc])
        subnets = [subnet["SubnetId"] for subnet in answer["Subnets"]]
        if not subnets:
            raise CloudError(f"the VPC {found!r} has no subnets")
        return subnets


class EcsWorker(WorkerType[EcsConfiguration]):
    """The worker type `ecs`. An id is `CLUSTER::TASK`, both as ARNs."""

    worker_type = "ecs"
    outlives_worker = True
    configuration = EcsConfiguration

    def __init__(self) -> None:
        self._accounts: dict[str, Account] = {}
        self._running: dict[str, WatchedTask] = {}
        self._configurations: dict[str, tuple[Account, EcsConfiguration]] = {}

    async def start(self, configuration: EcsConfiguration, assignment: Assignment) -> str:
        """Have the definition there, then run a task of it."""
        account = self._account(configuration)
        try:
            definition = await _definition(account, configuration, assignment)
            try:
                task = await _run(account, configuration, assignment, definition)
            except CloudError as error:
                if INACTIVE not in str(error).lower() or configuration.definition_arn:
                    raise
                account.definitions.forget(definition["taskDefinitionArn"])
                definition = await _definition(account, configuration, assignment)
                task = await _run(account, configuration, assignment, definition)
        except CloudError as error:
            raise StartFailed(f"AWS refuses: {error}.") from None
        return self._hold(account, configuration, assignment, task, definition)

    async def adopt(
        self, infrastructure_id: str, configuration: EcsConfiguration, assignment: Assignment
    ) -> str | None:
        """Watch a task that ECS still knows; lines go on after the last one stored."""
        cluster, _, arn = infrastructure_id.partition("::")
        account = self._account(configuration)
        try:
            answer = await patiently(
                lambda: account.aws.ask(
                    "ecs", "describe_tasks", cluster=cluster, tasks=[arn], include=["TAGS"]
                )
            )
            if not answer["tasks"]:
                return None
            [task] = answer["tasks"]
            claim = adopted_claim(_marks(task, assignment), assignment)
            if claim is None:
                return None
            definition = await account.definitions.read(task["taskDefinitionArn"])
        except CloudError as error:
            if error.code in ("ClusterNotFoundException", "InvalidParameterException"):
                return None
            raise StartFailed(f"AWS refuses: {error}.") from None
        self._hold(account, configuration, assignment, task, definition, is_adopted=True)
        return claim

    async def wait(self, infrastructure_id: str) -> Outcome:
        """How the task ended; by then what it wrote has been handed on.

        Whoever gives up waiting lets the task go: nothing more of it is reported.
        """
        running = self._running[infrastructure_id]
        try:
            outcome = await running.wait()
        except asyncio.CancelledError:
            running.leave()
            self._running.pop(infrastructure_id, None)
            self._configurations.pop(infrastructure_id, None)
            raise
        account, configuration = self._configurations.pop(infrastructure_id)
        del self._running[infrastructure_id]
        if configuration.auto_deregister_task_definition and not configuration.definition_arn:
            try:
                await account.definitions.deregister(running.definition_arn)
            except CloudError as error:
                logger.warning("%s is not deregistered: %s", running.definition_arn, error)
        return outcome

    async def kill(self, infrastructure_id: str, grace_seconds: float) -> None:
        """Stop the task, whose containers have the `stopTimeout` of their definition."""
        running = self._running.get(infrastructure_id)
        if running is not None:
            await running.stop("Ended by its Forebay worker")

    async def close(self) -> None:
        """Close the connections to AWS."""
        for running in self._running.values():
            running.leave()
        await asyncio.gather(*(account.aws.close() for account in self._accounts.values()))

    def _account(self, configuration: EcsConfiguration) -> Account:
        credentials = configuration.aws_credentials
        if credentials.key not in self._accounts:
            self._accounts[credentials.key] = Account(Aws(credentials))
        return self._accounts[credentials.key]

    def _hold(
        self,
        account: Account,
        configuration: EcsConfiguration,
        assignment: Assignment,
        task: Json,
        definition: Json,
        *,
        is_adopted: bool = False,
    ) -> str:
        container = requests.run_container(configuration, definition)
        output = Output(configuration, assignment, is_shown=bool(configuration.stream_output))
        stream = log_stream(container, task["taskArn"])
        log = LogTail(account.aws, stream, output, assignment.logged_until) if stream else None
        running = WatchedTask(
            account.aws,
            configuration,
            task,
            container["name"],
            output,
            log,
            is_adopted=is_adopted,
        )
        self._running[running.id] = running
        self._configurations[running.id] = account, configuration
        return running.id


async def _definition(
    account: Account, configuration: EcsConfiguration, assignment: Assignment
) -> Json:
    if configuration.definition_arn:
        return await account.definitions.read(configuration.definition_arn)
    region = await account.aws.region("ecs")
    rendered = requests.task_definition(configuration, assignment, region)
    return await account.definitions.provide(
        rendered, match_latest=configuration.match_latest_revision_in_family
    )


async def _run(
    account: Account, configuration: EcsConfiguration, assignment: Assignment, definition: Json
) -> Json:
    """Run the task, once even if an answer is lost. Raises `CloudError`, `StartFailed`."""
    network = None
    if requests.needs_network(configuration, definition):
        network = requests.network(configuration, await _subnets(account, configuration))
    request = requests.task_run_request(configuration, assignment, definition, network)

    async def ask() -> Json:
        answer = await account.aws.ask("ecs", "run_task", **request)
        if answer["tasks"]:
            started: Json = answer["tasks"][0]
            return started
        failure = (answer.get("failures") or [{}])[0]
        told = [str(failure[key]) for key in ("reason", "detail") if failure.get(key)]
        text = ": ".join(told).rstrip(".") or "no task was started, and no reason told"
        raise CloudError(text, is_passing=text.startswith(NO_ROOM))

    return await patiently(ask)


async def _subnets(account: Account, configuration: EcsConfiguration) -> list[str]:
    """The subnets of the VPC, if they are needed. Raises `StartFailed` for one of another VPC."""
    given = configuration.network_configuration
    if given and configuration.vpc_id is None:
        return []
    found = await account.subnets(configuration.vpc_id)
    named = given.get("awsvpcConfiguration", given).get("subnets", [])
    if foreign := sorted(set(named) - set(found)):
        raise StartFailed(
            f"The subnets {', '.join(foreign)} of network_configuration are not in the VPC "
            f"{configuration.vpc_id}."
        )
    return found


def _marks(task: Json, assignment: Assignment) -> dict[str, str]:
    """The task's marks; those that ECS could only take changed count as what they stand for."""
    tags = requests.read_tags(task)
    ours = marks(assignment)
    return {
        key: ours[key] if key in ours and value == requests.tag_value(ours[key]) else value
        for key, value in tags.items()
    }
