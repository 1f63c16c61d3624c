"""`forebay_work_pool`: the declaration of a pool and its four verbs."""

import json
from collections.abc import Iterable
from contextlib import suppress
from typing import Any
from uuid import UUID

from forebay.errors import Conflict, ForebayError, NotFound
from forebay_provider.api import calls, wire
from forebay_provider.connection import Connection
from forebay_provider.framework.checks import at_least, at_most, custom, matches, one_of
from forebay_provider.framework.declarations import (
    JsonText,
    attribute,
    declaration,
    from_values,
    model,
    to_values,
)
from forebay_provider.framework.diagnostics import Diagnostic
from forebay_provider.framework.resource import Incomplete, Resource
from forebay_provider.framework.semantics import json_equal
from forebay_provider.framework.values import UNKNOWN, Unknown, is_known
from forebay_provider.mapping import completed, from_wire, json_text, to_wire
from forebay_provider.names import (
    MAX_INT,
    NAME,
    POOL_NAME,
    UUID_TEXT,
    as_uuid,
    name_taken,
    no_such_id,
    some_of,
)
from forebay_provider.resources import job_template
from forebay_provider.resources.job_variables import problems
from forebay_provider.rows import Row


@model
class StorageConfiguration:
    """Where the code and the results of a pool's runs are kept."""

    bundle_upload_step: JsonText | None = attribute(
        "Step that uploads bundled code, as JSON.", default=None
    )
    bundle_execution_step: JsonText | None = attribute(
        "Step that runs bundled code, as JSON.", default=None
    )
    default_result_storage_block_id: str | None = attribute(
        "ID of the block in which results are kept.", default=None, checks=(UUID_TEXT,)
    )


@model
class DefaultQueue:
    """The queue that is made with its pool and lives as long."""

    id: str = attribute("ID (UUID) of the queue.", computed=True)
    name: str = attribute("Name of the queue.", computed=True)
    description: str = attribute("What the queue is for.", default="")
    paused: bool = attribute(
        "Whether the queue hands out no runs.", default=False, wire="is_paused"
    )
    concurrency_limit: int | None = attribute(
        "Most runs at once; no limit if unset, none at all if 0.",
        default=None,
        checks=(at_least(0), at_most(MAX_INT)),
    )
    priority: int = attribute(
        "Rank in the pool: 1 is served first. If unset, it is left alone.",
        default=None,
        computed=True,
        checks=(at_least(1), at_most(MAX_INT)),
    )


@model
class WorkPool:
    """A pool of work: runs wait in its queues until workers of its type take them."""

    id: str = attribute("ID (UUID) of the pool.", computed=True)
    name: str = attribute("Name, unique in the server.", replace=True, checks=POOL_NAME)
    type: str = attribute(
        "Worker type that serves the pool, for example `process`, `docker` or `kubernetes`.",
        replace=True,
        checks=(matches(r"(?s)\S.{0,254}", "be 1 to 255 characters"),),
    )
    description: str | None = attribute("What the pool is for.", default=None)
    paused: bool = attribute(
        "Whether the pool hands out no runs.", default=False, wire="is_paused"
    )
    concurrency_limit: int | None = attribute(
        "Most runs at once; no limit if unset, none at all if 0.",
        default=None,
        checks=(at_least(0), at_most(MAX_INT)),
    )
    base_job_template: JsonText | None = attribute(
        "Base job template as JSON: `job_configuration` with `{{ placeholders }}` and the "
        "`variables` that fill them. Compared by meaning. If unset, the pool has the template of "
        "its type, with `job_template_defaults`.",
        default=None,
        computed=True,
        checks=(custom(job_template.complaint),),
    )
    job_template_defaults: Any = attribute(
        "Defaults for variables of the type's own template, as an object, instead of a whole "
        "`base_job_template`; null takes a default away.",
        default=None,
        computed=True,
    )
    effective_base_job_template: JsonText = attribute(
        "The template that the pool has, as JSON with sorted keys: known while planning, and "
        "where a change from outside shows.",
        computed=True,
        wire="base_job_template",
    )
    storage_configuration: StorageConfiguration | None = attribute(
        "Where the code and the results of the pool's runs are kept.", default=None
    )
    on_lost: str = attribute(
        "What becomes of a run that had been started when its worker was lost, or stopped without "
        "waiting for its end: `crash` ends it as CRASHED, `reschedule` lets another worker run it "
        "again. A Prefect server knows only the default.",
        default="crash",
        checks=(one_of("crash", "reschedule"),),
    )
    max_rescues: int = attribute(
        "How often one run is rescheduled after losing its worker; then it is CRASHED all the "
        "same. A Prefect server knows only the default.",
        default=3,
        checks=(at_least(0), at_most(1000)),
    )
    default_queue: DefaultQueue | None = attribute(
        "The queue that is made with the pool. If unset, it is left alone.",
        default=None,
        computed=True,
    )
    default_queue_id: str = attribute(
        "ID of the queue that was made with the pool.", computed=True
    )
    force_destroy: bool = attribute(
        "Whether the pool is deleted even while deployments send their runs to it. They stay "
        "behind without a pool.",
        default=False,
    )
    created: str = attribute("When the pool was made (RFC 3339).", computed=True)


class WorkPoolResource(Resource[WorkPool, Connection]):
    """Pools are addressed by name, which never changes."""

    name, model = "work_pool", WorkPool
    identity = ("name",)
    import_doc = "the pool's name or its ID"

    @staticmethod
    def check(config: WorkPool) -> Iterable[Diagnostic]:
        defaults, template = config.job_template_defaults, config.base_job_template
        if defaults is None or not is_known(defaults) or not is_known(config.type):
            return
        here = ("job_template_defaults",)
        if complaint := job_template.defaults_complaint(config.type, defaults):
            yield Diagnostic("Invalid job_template_defaults", f"{here[0]} {complaint}.", here)
            return
        # An import fills in both, and two that say the same do no harm.
        made = job_template.of_type(config.type, defaults)
        if template is not None and is_known(template) and not _same(template, made):
            yield Diagnostic(
                "Two templates", "Set base_job_template or job_template_defaults, not both.", here
            )

    @staticmethod
    def derive(plan: WorkPool, config: WorkPool, prior: WorkPool | None) -> WorkPool:
        effective = _effective_template(config, prior)
        plan.effective_base_job_template = effective
        if config.base_job_template is None:
            kept = prior.base_job_template if prior else None
            plan.base_job_template = kept if _same(kept, effective) else None
        if config.job_template_defaults is None:
            defaults = prior.job_template_defaults if prior else None
            fits = defaults and _same(job_template.of_type(plan.type, defaults), effective)
            plan.job_template_defaults = defaults if fits else None
        if config.default_queue is None and not (prior and prior.default_queue):
            plan.default_queue = None
        return plan

    def review(self, plan: WorkPool | None, prior: WorkPool | None) -> Iterable[Diagnostic]:
        if plan is not None and is_known([plan.name, plan.effective_base_job_template]):
            template = plan.effective_base_job_template
            self.client.planned_templates[plan.name] = template
            if prior is not None and template != prior.effective_base_job_template:
                yield from self._review_defaults(prior.name, template)
        if plan is not None and prior is None:
            yield from self._review_type(plan.type)
        if plan is None and prior is not None and not prior.force_destroy:
            yield from self._review_deletion(prior.name)

    def _review_type(self, type: str) -> Iterable[Diagnostic]:
        if not is_known(type) or job_template.of_type(type, None) is not None:
            return
        collections = self.client.send(calls.server.worker_metadata())
        if not any(type in types for types in collections.values()):
            yield Diagnostic(
                "An unknown worker type",
                f'Neither the server nor this provider knows the type "{type}". A worker of your '
                "own may serve it; otherwise correct the name.",
                ("type",),
                is_warning=True,
            )

    def _review_defaults(self, name: str, template: str) -> Iterable[Diagnostic]:
        """Defaults that no run could use; the server refuses them when they are applied."""
        for variable, complaint in problems(self.client, name, template, {}):
            if variable is not None:
                yield Diagnostic(
                    "A default does not fit its variable",
                    f'effective_base_job_template: "{variable}": {complaint}.',
                    ("job_template_defaults",),
                )

    def _review_deletion(self, name: str) -> Iterable[Diagnostic]:
        # Not an error: the same change may delete the deployments first.
        if users := self._deployments(name):
            yield Diagnostic(
                f'Deployments send their runs to "{name}"',
                f"{users}. If they are not deleted or moved before it, deleting the pool will be "
                "refused, because force_destroy is not set.",
                is_warning=True,
            )

    def create(self, plan: WorkPool, key: str) -> WorkPool:
        body = to_wire(_without_defaults(_as_sent(plan)), wire.work_pools.WorkPoolCreate)
        try:
            made = self.client.row(calls.work_pools.create(body, idempotency_key=key))
        except Conflict:
            existing = self.client.row(calls.work_pools.read(plan.name))
            raise name_taken("forebay_work_pool", plan.name, existing["id"], plan.name) from None
        try:
            self._change_default_queue(plan, None, _default_queue_id(made))
            return completed(plan, lambda: self._found(made, plan))
        except ForebayError as error:
            raise Incomplete(self._found(made, None), error) from error

    def read(self, state: WorkPool) -> WorkPool | None:
        try:
            pool = self.client.row(calls.work_pools.read(state.name))
        except NotFound:
            return None
        return self._found(pool, state)

    def update(self, plan: WorkPool, state: WorkPool) -> WorkPool:
        body = to_wire(_as_sent(plan), wire.work_pools.WorkPoolUpdate, since=_as_sent(state))
        if body.model_fields_set:
            self.client.send(calls.work_pools.update(state.name, body))
        self._change_default_queue(plan, state, as_uuid(state.default_queue_id))
        read = calls.work_pools.read(state.name)
        return completed(plan, lambda: self._found(self.client.row(read), plan))

    def delete(self, state: WorkPool) -> None:
        if not state.force_destroy and (users := self._deployments(state.name)):
            raise Conflict(
                f'Deployments send their runs to "{state.name}": {users}. Without it they would '
                "make runs that nobody takes. Move or delete them first, or set force_destroy "
                "and apply before you destroy. To replace the pool, let the new one be made "
                "first with lifecycle { create_before_destroy = true }."
            )
        with suppress(NotFound):
            self.client.send(calls.work_pools.delete(state.name))

    def find(self, text: str) -> WorkPool:
        name = text
        if NAME.complaint(text):
            raise no_such_id("work pool", text, self.import_doc)
        if (id := as_uuid(text)) is not None:
            named = self.client.send(calls.work_pools.filter(ids=[id], limit=1))
            name = named[0].name if named else text
        return from_values(WorkPool, {"name": name})

    def _found(self, pool: Row, like: WorkPool | None) -> WorkPool:
        """The pool as it is, with as much of it as `like` says; one imported says all of it."""
        found = from_wire(WorkPool, pool)
        for name, value in _EXTENSIONS.items():
            if getattr(found, name) is None:  # the server does not know it
                setattr(found, name, value)
        is_import = like is not None and like.id is None
        like = like or found
        found.force_destroy = like.force_destroy or False
        if is_import:
            known = found.effective_base_job_template
            found.job_template_defaults = job_template.defaults_of(found.type, known)
        else:
            found.job_template_defaults = like.job_template_defaults
            if like.base_job_template is None:
                found.base_job_template = None
        if like.storage_configuration is None and found.storage_configuration == _NO_STORAGE:
            found.storage_configuration = None
        queue_id = _default_queue_id(pool)
        if queue_id and (is_import or like.default_queue is not None):
            call = calls.work_queues.read_by_id(queue_id)
            found.default_queue = from_wire(DefaultQueue, self.client.row(call))
        return found

    def _change_default_queue(
        self, plan: WorkPool, state: WorkPool | None, id: UUID | None
    ) -> None:
        wanted = plan.default_queue
        if wanted is None or isinstance(wanted, Unknown) or id is None:
            return
        if state is not None and state.default_queue == wanted:
            return
        queue = self.client.send(calls.work_queues.read_by_id(id))
        before = from_wire(DefaultQueue, queue)
        body = to_wire(wanted, wire.work_queues.WorkQueueUpdate, since=before)
        if body.model_fields_set:
            self.client.send(calls.work_queues.update(plan.name, queue.name, body))

    def _deployments(self, pool: str) -> str:
        """The deployments of a pool, named."""
        found = self.client.send(calls.deployments.filter(pool_names=[pool]))
        return some_of(deployment.name for deployment in found)


def _default_queue_id(pool: Row) -> UUID | None:
    return as_uuid(pool.get("default_queue_id") or "")


_NO_STORAGE = from_values(StorageConfiguration, {})
# What only a Forebay server knows, with its defaults. They are as good as said, and never sent
# with a new pool, so that a Prefect server takes it.
_EXTENSIONS = {
    each.name: each.default
    for each in declaration(WorkPool).attributes
    if each.name in ("on_lost", "max_rescues")
}


def _effective_template(config: WorkPool, prior: WorkPool | None) -> Any:
    """The template that a configuration asks for: text, or unknown."""
    given, defaults = config.base_job_template, config.job_template_defaults
    if not is_known(given) or not is_known(defaults) or not is_known(config.type):
        return UNKNOWN
    if given is not None:
        return json_text(json.loads(given))
    own = job_template.of_type(config.type, defaults)
    if own is not None:
        return own
    # Nobody here knows the type: its workers bring a template along, and that one is kept.
    is_same_type = prior is not None and prior.type == config.type
    return prior.effective_base_job_template if prior and is_same_type else UNKNOWN


def _same(one: Any, other: Any) -> bool:
    return isinstance(one, str) and isinstance(other, str) and json_equal(one, other)


def _without_defaults(pool: WorkPool) -> WorkPool:
    """`pool` with the extensions left to the server where they are as it has them anyway."""
    values = to_values(pool)
    left = {name: UNKNOWN for name, value in _EXTENSIONS.items() if values[name] == value}
    return from_values(WorkPool, {**values, **left})


def _as_sent(pool: WorkPool) -> WorkPool:
    """`pool` with what the API is to hold where that is not what the user wrote."""
    values = to_values(pool)
    values["base_job_template"] = values["effective_base_job_template"]
    if values["storage_configuration"] is None:
        values["storage_configuration"] = to_values(_NO_STORAGE)
    return from_values(WorkPool, values)
