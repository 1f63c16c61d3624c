"""What Terraform can look up here."""

from forebay_provider.data_sources.block import BlockDataSource
from forebay_provider.data_sources.concurrency_limits import (
    GlobalConcurrencyLimitDataSource,
    GlobalConcurrencyLimitsDataSource,
)
from forebay_provider.data_sources.deployments import DeploymentDataSource, DeploymentsDataSource
from forebay_provider.data_sources.flows import FlowDataSource, FlowsDataSource
from forebay_provider.data_sources.server import ServerDataSource
from forebay_provider.data_sources.variable import VariableDataSource
from forebay_provider.data_sources.work_pool import WorkPoolDataSource
from forebay_provider.data_sources.work_pools import WorkPoolsDataSource
from forebay_provider.data_sources.work_queues import WorkQueueDataSource, WorkQueuesDataSource
from forebay_provider.data_sources.workers import WorkerMetadataDataSource, WorkersDataSource

DATA_SOURCES = (
    WorkPoolDataSource,
    WorkPoolsDataSource,
    WorkQueueDataSource,
    WorkQueuesDataSource,
    WorkerMetadataDataSource,
    WorkersDataSource,
    GlobalConcurrencyLimitDataSource,
    GlobalConcurrencyLimitsDataSource,
    FlowDataSource,
    FlowsDataSource,
    DeploymentDataSource,
    DeploymentsDataSource,
    VariableDataSource,
    BlockDataSource,
    ServerDataSource,
)
