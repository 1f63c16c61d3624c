"""The data sources `forebay_deployment` and `forebay_deployments`."""

from collections.abc import Iterable
from uuid import UUID

from forebay_provider.api import calls
from forebay_provider.connection import Connection
from forebay_provider.data_sources.concurrency_limits import LimitItem
from forebay_provider.data_sources.listing import PAGE, chosen, every, one_of_two
from forebay_provider.framework.declarations import JsonText, attribute, model
from forebay_provider.framework.diagnostics import Diagnostic
from forebay_provider.framework.resource import DataSource
from forebay_provider.mapping import from_wire
from forebay_provider.names import NAME, UUID_TEXT


@model
class DeploymentItem:
    """One deployment of a list."""

    id: str = attribute("ID (UUID) of the deployment.", computed=True)
    name: str = attribute("Name of the deployment.", computed=True)
    flow_id: str = attribute("ID of the flow.", computed=True)
    description: str | None = attribute("What the deployment is for.", computed=True)
    version: str | None = attribute("Version of the code.", computed=True)
    entrypoint: str | None = attribute("`FILE.py:FUNCTION` or `MODULE.FUNCTION`.", computed=True)
    path: str | None = attribute("Folder in which the entrypoint lies.", computed=True)
    tags: set[str] = attribute("Tags.", computed=True)
    paused: bool = attribute("Whether its schedules make no runs.", computed=True)
    work_pool_name: str | None = attribute("Pool in which it runs.", computed=True)
    work_queue_name: str | None = attribute("Queue of the pool.", computed=True)
    parameters: JsonText = attribute("Parameters of its runs as JSON.", computed=True)
    parameter_openapi_schema: JsonText | None = attribute(
        "JSON schema of the parameters.", computed=True
    )
    enforce_parameter_schema: bool = attribute(
        "Whether runs with other parameters are refused.", computed=True
    )
    job_variables: JsonText = attribute(
        "Values for the variables of the pool's template, as JSON.", computed=True
    )
    pull_steps: JsonText | None = attribute(
        "Steps that a worker takes to get at the code, as JSON.", computed=True
    )
    global_concurrency_limit: LimitItem | None = attribute(
        "The limit that holds its runs, its own or a shared one; null without one.",
        computed=True,
    )
    storage_document_id: str | None = attribute(
        "ID of the block that holds the code.", computed=True
    )
    status: str | None = attribute("`READY` or `NOT_READY`.", computed=True)
    last_polled: str | None = attribute("When somebody last asked for its runs.", computed=True)
    created: str = attribute("When the deployment was made (RFC 3339).", computed=True)


@model
class DeploymentView(DeploymentItem):
    """Looks a deployment up by the names of its flow and its own, or by id."""

    id: str = attribute(
        "ID (UUID) of the deployment. Exactly one of `id` and `name` is set.",
        default=None,
        computed=True,
        checks=(UUID_TEXT,),
    )
    flow_name: str = attribute(
        "Name of the flow; goes with `name`.", default=None, computed=True, checks=(NAME,)
    )
    name: str = attribute("Name of the deployment.", default=None, computed=True, checks=(NAME,))


@model
class DeploymentsView:
    """Lists deployments. All filters are optional and must all be met."""

    flow_name: str | None = attribute("Only those of this flow.", default=None)
    work_pool_name: str | None = attribute("Only those in this pool.", default=None)
    tags: set[str] | None = attribute("Only those with all of these tags.", default=None)
    name_prefix: str | None = attribute("Only those whose name begins so.", default=None)
    deployments: list[DeploymentItem] = attribute("The deployments, by name.", computed=True)


class DeploymentDataSource(DataSource[DeploymentView, Connection]):
    """Fails when there is no such deployment."""

    name, model = "deployment", DeploymentView

    @staticmethod
    def check(config: DeploymentView) -> Iterable[Diagnostic]:
        yield from one_of_two(config, "id", "name")
        if config.name is not None and config.flow_name is None:
            text = "name needs flow_name."
            yield Diagnostic("A deployment without its flow", text, ("name",))

    def read(self, config: DeploymentView) -> DeploymentView:
        if config.id is not None:
            call = calls.deployments.read(UUID(config.id))
        else:
            call = calls.deployments.read_by_name(config.flow_name, config.name)
        found = from_wire(DeploymentView, self.client.send(call))
        flow = config.flow_name or self.client.send(calls.flows.read(UUID(found.flow_id))).name
        found.flow_name = flow
        return found


class DeploymentsDataSource(DataSource[DeploymentsView, Connection]):
    """An empty list is no error."""

    name, model = "deployments", DeploymentsView

    def read(self, config: DeploymentsView) -> DeploymentsView:
        flows = None if config.flow_name is None else [config.flow_name]
        pools = None if config.work_pool_name is None else [config.work_pool_name]
        found = every(
            self.client,
            lambda at: calls.deployments.filter(
                flow_names=flows, pool_names=pools, limit=PAGE, offset=at
            ),
        )
        config.deployments = [
            from_wire(DeploymentItem, deployment)
            for deployment in chosen(found, config)
            if set(config.tags or ()) <= set(deployment.tags)
        ]
        return config
