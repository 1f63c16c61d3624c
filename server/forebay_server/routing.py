"""Which routes there are, in which order they are tried, and what guards them."""

import re
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

from starlette.routing import BaseRoute

from forebay_server.access import routes as tokens
from forebay_server.access.grants import GRANTS
from forebay_server.access.roles import Grant
from forebay_server.artifacts import routes as artifacts
from forebay_server.blocks import document_routes as block_documents
from forebay_server.blocks import routes as blocks
from forebay_server.collections import routes as collections
from forebay_server.compatibility import routes as compatibility
from forebay_server.concurrency_limits import routes as concurrency_limits
from forebay_server.concurrency_limits import tag_routes as tag_limits
from forebay_server.deployments import routes as deployments
from forebay_server.deployments import run_routes as deployment_runs
from forebay_server.deployments import schedule_routes as deployment_schedules
from forebay_server.dispatch import routes as dispatch
from forebay_server.dry_runs import routes as dry_runs
from forebay_server.events import page_routes as event_pages
from forebay_server.events import routes as events
from forebay_server.explanations import routes as explanations
from forebay_server.flow_run_inputs import routes as flow_run_inputs
from forebay_server.flow_runs import poll_routes as polls
from forebay_server.flow_runs import routes as flow_runs
from forebay_server.flow_runs import statistics_routes as statistics
from forebay_server.flows import routes as flows
from forebay_server.health import routes as health
from forebay_server.identity import routes as identity
from forebay_server.logs import routes as logs
from forebay_server.protocol import API
from forebay_server.slots import routes as slots
from forebay_server.task_runs import routes as task_runs
from forebay_server.variables import routes as variables
from forebay_server.work_pools import routes as work_pools
from forebay_server.work_queues import routes as work_queues
from forebay_server.workers import routes as workers

STREAMS = (events.streams, logs.streams)  # websockets, which see to authentication themselves
# Routes are tried in order, so those that workers call all the time come first.
GUARDED = (
    polls.router,
    flow_runs.router,
    workers.router,
    dispatch.router,
    logs.router,
    health.router,
    work_pools.router,
    work_queues.router,
    flows.router,
    deployments.router,
    deployment_schedules.router,
    deployment_runs.router,
    events.router,
    event_pages.router,
    concurrency_limits.router,
    tag_limits.router,
    variables.router,
    artifacts.router,
    blocks.router,
    block_documents.router,
    statistics.router,
    flow_run_inputs.router,
    task_runs.router,
    slots.router,
    explanations.router,
    dry_runs.router,
    collections.router,
    compatibility.router,
    identity.router,
    tokens.router,
)


class Ungranted(Exception):
    """A route tells no roles that it is open to."""


@cache
def routes() -> list[BaseRoute]:
    """All routes; made once a process, for making them costs as much as a start."""
    return [route for router in (health.public, *GUARDED, *STREAMS) for route in router.routes]


@cache
def grants() -> dict[Callable[..., Any], Grant]:
    """Whom each route is open to, by the function that it calls. Raises `Ungranted`."""
    found = dict(_served())
    if missing := sorted(found.keys() - GRANTS.keys()):
        raise Ungranted(f"access/grants.py says nothing of {', '.join(missing)}")
    return {endpoint: GRANTS[name] for name, endpoint in found.items()}


def _served() -> Iterator[tuple[str, Callable[..., Any]]]:
    """Every route by name, `GET /work_pools/{name}` or `WS /events/in`, with its function."""
    for router in (health.public, *GUARDED, *STREAMS):
        for route in router.routes:
            path = re.sub(r":\w+}", "}", getattr(route, "path", "")).removeprefix(API)
            for method in getattr(route, "methods", ("WS",)):
                yield f"{method} {path}", route.endpoint  # type: ignore[attr-defined]
