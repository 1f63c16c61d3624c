"""Which roles each route is open to. A route that is not listed keeps the server from starting.

The roles are those of the threat model: `read` looks; `operator` changes what is no secret and
no worker's work; `worker` does a worker's work in its own pool; `admin` does everything. The
process of a run has a token that reaches what its engine needs, about that run.
"""

from collections.abc import Iterator

from forebay_server.access.roles import (
    ADMINS,
    EVERYBODY,
    OPERATORS,
    READERS,
    REPORTERS,
    WORKERS,
    Grant,
    Kind,
)

_WORKERS_TOO = READERS | WORKERS

# By group: a name such as `GET /work_pools/{name}`, `WS` for a websocket.
_GROUPS: tuple[tuple[Grant, tuple[str, ...]], ...] = (
    (
        Grant(None),
        (
            "GET /health",
            "GET /ready",
            "GET /version",
            "GET /admin/version",
        ),
    ),
    (
        Grant(EVERYBODY, is_runs=True),
        (
            "GET /hello",
            "GET /server",
            "GET /csrf-token",
            "GET /admin/storage",
            "GET /collections/views/{view}",
            "GET /variables/name/{name}",
        ),
    ),
    # Lists that show a worker what is its pool's.
    (
        Grant(_WORKERS_TOO),
        (
            "POST /work_pools/filter",
            "POST /work_pools/count",
            "POST /work_queues/filter",
            "POST /flow_runs/filter",
            "POST /flow_runs/count",
            "POST /flow_runs/paginate",
            "POST /events/filter",
            "GET /events/filter/next",
            "POST /events/count-by/{countable}",
        ),
    ),
    # Lists that also show a run what is its own.
    (
        Grant(_WORKERS_TOO, is_runs=True),
        (
            "POST /artifacts/filter",
            "POST /artifacts/count",
            "POST /artifacts/latest/filter",
            "POST /artifacts/latest/count",
            "GET /artifacts/{key}/latest",
            "WS /events/out",
        ),
    ),
    (
        Grant(_WORKERS_TOO, Kind.POOL),
        (
            "GET /work_pools/{name}",
            "GET /work_pools/{name}/explain",
            "POST /work_pools/{name}/concurrency_status",
            "POST /work_pools/{name}/validate",
            "POST /work_pools/{pool}/queues/filter",
            "GET /work_pools/{pool}/queues/{name}",
            "POST /work_pools/{pool}/workers/filter",
        ),
    ),
    (
        Grant(WORKERS, Kind.POOL),
        (
            "POST /work_pools/{name}/get_scheduled_flow_runs",
            "POST /work_pools/{name}/claim",
            "POST /work_pools/{name}/report",
            "POST /work_pools/{name}/adopt",
            "POST /work_pools/{name}/adoptable_runs",
            "POST /work_pools/{pool}/workers/heartbeat",
        ),
    ),
    (Grant(WORKERS, Kind.QUEUE), ("POST /work_queues/{id}/get_runs",)),
    (
        Grant(_WORKERS_TOO, Kind.QUEUE),
        (
            "GET /work_queues/{id}",
            "GET /work_queues/{id}/status",
            "GET /work_queues/{id}/explain",
            "POST /work_queues/{id}/concurrency_status",
        ),
    ),
    (
        Grant(_WORKERS_TOO, Kind.RUN, is_runs=True),
        (
            "GET /flow_runs/{id}",
            "GET /flow_runs/{id}/explain",
            "POST /flow_runs/{id}/input/filter",
            "GET /flow_runs/{id}/input/{key}",
        ),
    ),
    (
        Grant(REPORTERS, Kind.RUN, is_runs=True),
        (
            "PATCH /flow_runs/{id}",
            "PATCH /flow_runs/{id}/labels",
            "POST /flow_runs/{id}/set_state",
            "POST /flow_runs/{id}/input",
            "DELETE /flow_runs/{id}/input/{key}",
        ),
    ),
    (Grant(_WORKERS_TOO, Kind.DEPLOYMENT, is_runs=True), ("GET /deployments/{id}",)),
    (Grant(_WORKERS_TOO, Kind.FLOW, is_runs=True), ("GET /flows/{id}",)),
    (Grant(_WORKERS_TOO, Kind.ARTIFACT, is_runs=True), ("GET /artifacts/{id}",)),
    (Grant(REPORTERS, Kind.ARTIFACT, is_runs=True), ("PATCH /artifacts/{id}",)),
    (Grant(_WORKERS_TOO, Kind.BLOCK, is_runs=True), ("GET /block_documents/{id}",)),
    (
        Grant(_WORKERS_TOO, Kind.BLOCK_BY_NAME, is_runs=True),
        ("GET /block_types/slug/{slug}/block_documents/name/{block_document_name}",),
    ),
    # What engines report and take while they execute runs.
    (
        Grant(REPORTERS, is_runs=True),
        (
            "POST /logs/",
            "POST /artifacts/",
            "POST /events",
            "WS /events/in",
            "POST /concurrency_limits/increment",
            "POST /concurrency_limits/decrement",
            "POST /v2/concurrency_limits/increment",
            "POST /v2/concurrency_limits/decrement",
            "POST /v2/concurrency_limits/increment-with-lease",
            "POST /v2/concurrency_limits/decrement-with-lease",
            "POST /v2/concurrency_limits/leases/{lease_id}/renew",
        ),
    ),
    (
        Grant(READERS),
        (
            "POST /automations/count",
            "POST /automations/filter",
            "GET /automations/related-to/{resource}",
            "GET /block_capabilities/",
            "POST /block_documents/count",
            "POST /block_documents/filter",
            "GET /block_schemas/checksum/{checksum}",
            "POST /block_schemas/filter",
            "GET /block_schemas/{id}",
            "POST /block_types/filter",
            "GET /block_types/slug/{slug}",
            "GET /block_types/slug/{slug}/block_documents",
            "GET /block_types/{id}",
            "POST /concurrency_limits/filter",
            "GET /concurrency_limits/tag/{tag}",
            "GET /concurrency_limits/{id}",
            "POST /deployments/count",
            "POST /deployments/filter",
            "POST /deployments/get_scheduled_flow_runs",
            "GET /deployments/name/{flow_name}/{deployment_name}",
            "POST /deployments/paginate",
            "GET /deployments/{id}/schedules",
            "GET /flow_run_states/",
            "GET /flow_run_states/{id}",
            "POST /flow_runs/history",
            "POST /flow_runs/lateness",
            "POST /flows/count",
            "POST /flows/filter",
            "GET /flows/name/{name}",
            "POST /flows/paginate",
            "POST /logs/filter",
            "WS /logs/out",
            "POST /task_runs/count",
            "POST /task_runs/filter",
            "POST /task_runs/history",
            "POST /task_runs/paginate",
            "GET /task_runs/{id}",
            "POST /v2/concurrency_limits/filter",
            "GET /v2/concurrency_limits/{id_or_name}",
            "POST /variables/count",
            "POST /variables/filter",
            "GET /variables/{id}",
            "GET /work_queues/name/{name}",
        ),
    ),
    (
        Grant(OPERATORS),
        (
            "DELETE /artifacts/{id}",
            "DELETE /automations/owned-by/{resource}",
            "POST /block_schemas/",
            "DELETE /block_schemas/{id}",
            "POST /block_types/",
            "POST /block_types/install_system_block_types",
            "DELETE /block_types/{id}",
            "PATCH /block_types/{id}",
            "POST /concurrency_limits/",
            "DELETE /concurrency_limits/tag/{tag}",
            "POST /concurrency_limits/tag/{tag}/reset",
            "DELETE /concurrency_limits/{id}",
            "POST /deployments/",
            "DELETE /deployments/{id}",
            "PATCH /deployments/{id}",
            "POST /deployments/{id}/create_flow_run",
            "POST /deployments/{id}/create_flow_run/bulk",
            "POST /deployments/{id}/pause_deployment",
            "POST /deployments/{id}/resume_deployment",
            "POST /deployments/{id}/schedule",
            "POST /deployments/{id}/schedules",
            "DELETE /deployments/{id}/schedules/{schedule_id}",
            "PATCH /deployments/{id}/schedules/{schedule_id}",
            "POST /flow_runs/",
            "POST /flow_runs/bulk_delete",
            "POST /flow_runs/bulk_set_state",
            "DELETE /flow_runs/{id}",
            "POST /flow_runs/{id}/resume",
            "POST /flows/",
            "DELETE /flows/{id}",
            "PATCH /flows/{id}",
            "POST /task_runs/",
            "DELETE /task_runs/{id}",
            "PATCH /task_runs/{id}",
            "POST /task_runs/{id}/set_state",
            "POST /v2/concurrency_limits/",
            "DELETE /v2/concurrency_limits/{id_or_name}",
            "PATCH /v2/concurrency_limits/{id_or_name}",
            "POST /variables/",
            "DELETE /variables/name/{name}",
            "PATCH /variables/name/{name}",
            "DELETE /variables/{id}",
            "PATCH /variables/{id}",
            "POST /work_pools/",
            "DELETE /work_pools/{name}",
            "PATCH /work_pools/{name}",
            "POST /work_pools/{pool}/queues",
            "DELETE /work_pools/{pool}/queues/{name}",
            "PATCH /work_pools/{pool}/queues/{name}",
            "DELETE /work_pools/{pool}/workers/{name}",
            "POST /work_pools/{pool}/workers/{name}/drain",
            "POST /work_queues/",
            "DELETE /work_queues/{id}",
            "PATCH /work_queues/{id}",
        ),
    ),
    # Credentials and tokens.
    (
        Grant(ADMINS),
        (
            "POST /block_documents/",
            "PATCH /block_documents/{id}",
            "DELETE /block_documents/{id}",
            "POST /tokens",
            "GET /tokens",
            "GET /tokens/{id}",
            "PATCH /tokens/{id}",
            "DELETE /tokens/{id}",
        ),
    ),
)


def _listed() -> Iterator[tuple[str, Grant]]:
    for grant, names in _GROUPS:
        for name in names:
            yield name, grant


GRANTS: dict[str, Grant] = dict(_listed())
