"""What Terraform can manage here."""

from forebay_provider.resources.block import BlockResource
from forebay_provider.resources.deployment import DeploymentResource
from forebay_provider.resources.deployment_schedule import DeploymentScheduleResource
from forebay_provider.resources.flow import FlowResource
from forebay_provider.resources.global_concurrency_limit import GlobalConcurrencyLimitResource
from forebay_provider.resources.variable import VariableResource
from forebay_provider.resources.work_pool import WorkPoolResource
from forebay_provider.resources.work_queue import WorkQueueResource
from forebay_provider.resources.work_queue_order import WorkQueueOrderResource

RESOURCES = (
    WorkPoolResource,
    WorkQueueResource,
    WorkQueueOrderResource,
    GlobalConcurrencyLimitResource,
    FlowResource,
    DeploymentResource,
    DeploymentScheduleResource,
    VariableResource,
    BlockResource,
)
