"""`forebay_deployment`: what it is on the wire, and its four verbs."""

import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from uuid import UUID

from forebay import templates
from forebay.errors import FieldProblem, Invalid, NotFound
from forebay_provider.api import calls, wire
from forebay_provider.connection import Connection
from forebay_provider.framework.declarations import JsonText, from_values, to_values
from forebay_provider.framework.diagnostics import Diagnostic
from forebay_provider.framework.resource import Resource
from forebay_provider.framework.semantics import json_equal
from forebay_provider.framework.values import UNKNOWN, is_known
from forebay_provider.mapping import completed, from_wire, json_text, to_wire
from forebay_provider.names import NAME, as_uuid, name_taken, no_such_id
from forebay_provider.resources.deployment_model import Concurrency, Deployment, PullStep
from forebay_provider.resources.job_variables import problems

if TYPE_CHECKING:
    import forebay.wire.deployments

DEFAULT_QUEUE = "default"
NO_VARIABLES: dict[str, Any] = {"env": {}}  # says the same as none, and is not taken for it
OWN_LIMIT = "deployment:"  # how the API names the limit of one deployment


class DeploymentResource(Resource[Deployment, Connection]):
    """Deployments are addressed by id."""

    name, model = "deployment", Deployment
    identity = ("flow_name", "name")
    import_doc = "`FLOW/DEPLOYMENT` or the deployment's ID"

    @staticmethod
    def check(config: Deployment) -> Iterable[Diagnostic]:
        if (config.flow_id is None) == (config.flow_name is None):
            yield Diagnostic(
                "One of flow_id and flow_name is needed",
                "Set exactly one of flow_id and flow_name.",
                () if config.flow_id is None else ("flow_name",),
            )
        if config.work_queue_name is not None and config.work_pool_name is None:
            yield Diagnostic(
                "A queue without its pool",
                "work_queue_name needs work_pool_name.",
                ("work_queue_name",),
            )
        if config.concurrency is not None and config.global_concurrency_limit_id is not None:
            yield Diagnostic(
                "Two limits",
                "Set concurrency or global_concurrency_limit_id, not both.",
                ("global_concurrency_limit_id",),
            )

    @staticmethod
    def derive(plan: Deployment, config: Deployment, prior: Deployment | None) -> Deployment:
        if config.work_queue_name is None:
            is_default = prior is not None and prior.work_queue_name == DEFAULT_QUEUE
            has_pool = config.work_pool_name is not None
            plan.work_queue_name = DEFAULT_QUEUE if is_default and has_pool else None
        plan.effective_job_configuration = _planned_configuration(plan, config, prior)
        return plan

    def review(self, plan: Deployment | None, prior: Deployment | None) -> Iterable[Diagnostic]:
        if plan is None or plan.work_pool_name is None:
            return
        place = (plan.work_pool_name, plan.base_job_template, plan.job_variables)
        was = prior and (prior.work_pool_name, prior.base_job_template, prior.job_variables)
        pool, own_template, variables = place
        if not is_known(list(place)) or place == was:
            return
        template = own_template or self.client.planned_templates.get(pool)
        for name, complaint in problems(self.client, pool, template, json.loads(variables)):
            # What is missing from all of them a run may bring along.
            about = f'"{name}": {complaint}' if name else complaint
            yield Diagnostic(
                f'The job variables do not fit the work pool "{pool}"',
                f"job_variables {about}.",
                ("job_variables",),
                is_warning=name is None,
            )

    def create(self, plan: Deployment, key: str) -> Deployment:
        flow_id = self._flow_id(plan)
        flow = self.client.send(calls.flows.read(flow_id))
        # The API would replace a deployment of that name without a word.
        with suppress(NotFound):
            existing = self.client.send(calls.deployments.read_by_name(flow.name, plan.name))
            path = f"{flow.name}/{plan.name}"
            raise name_taken("forebay_deployment", plan.name, existing.id, path)
        body = to_wire(
            plan,
            wire.deployments.DeploymentCreate,
            **{**_own_limit(plan, _NONE), **_steps(plan), "flow_id": flow_id},
        )
        try:
            made = self.client.send(calls.deployments.create(body))
        except NotFound as error:
            raise _no_pool(plan, error) from None
        return completed(plan, lambda: self._found(made, plan))

    def read(self, state: Deployment) -> Deployment | None:
        id = as_uuid(state.id or "")
        by_name = calls.deployments.read_by_name
        call = calls.deployments.read(id) if id else by_name(state.flow_name, state.name)
        try:
            return self._found(self.client.send(call), state)
        except NotFound:
            return None

    def update(self, plan: Deployment, state: Deployment) -> Deployment:
        fixed = _own_limit(plan, state)
        if plan.pull_steps != state.pull_steps:
            fixed |= _steps(plan)
        place = (plan.work_pool_name, plan.work_queue_name)
        if place != (state.work_pool_name, state.work_queue_name):
            fixed |= {"work_pool_name": place[0], "work_queue_name": place[1]}
        if json_equal(plan.job_variables, "{}") and not json_equal(state.job_variables, "{}"):
            fixed["job_variables"] = NO_VARIABLES
        body = to_wire(plan, wire.deployments.DeploymentUpdate, since=state, **fixed)
        if body.model_fields_set:
            try:
                self.client.send(calls.deployments.update(UUID(state.id), body))
            except NotFound as error:
                raise _no_pool(plan, error) from None
        if state.concurrency is not None and plan.global_concurrency_limit_id is not None:
            # Prefect 3.8.4 keeps the limit that a shared one replaces, and makes no other then.
            with suppress(NotFound):
                self.client.send(calls.concurrency_limits.delete(OWN_LIMIT + state.id))
        read = calls.deployments.read(UUID(state.id))
        return completed(plan, lambda: self._found(self.client.send(read), plan))

    def delete(self, state: Deployment) -> None:
        id = UUID(state.id)
        with suppress(NotFound):
            if state.global_concurrency_limit_id is not None:
                # Prefect 3.8.4 would delete the limit as well, whoever shares it.
                without = wire.deployments.DeploymentUpdate(global_concurrency_limit_id=None)
                self.client.send(calls.deployments.update(id, without))
            self.client.send(calls.deployments.delete(id))

    def find(self, text: str) -> Deployment:
        if as_uuid(text) is not None:
            return from_values(Deployment, {"id": text})
        flow, _, name = text.partition("/")
        if NAME.complaint(flow) or NAME.complaint(name):
            raise no_such_id("deployment", text, self.import_doc)
        return from_values(Deployment, {"flow_name": flow, "name": name})

    def _flow_id(self, plan: Deployment) -> UUID:
        if is_known(plan.flow_id):
            return UUID(plan.flow_id)
        try:
            return self.client.send(calls.flows.read_by_name(plan.flow_name)).id
        except NotFound:
            problem = FieldProblem(("flow_name",), f'there is no flow "{plan.flow_name}"')
            raise Invalid(problem.message, problems=(problem,)) from None

    def _found(
        self, answer: "forebay.wire.deployments.Deployment", like: Deployment
    ) -> Deployment:
        """The deployment as it is, in the terms of `like` where those say the same."""
        found = from_wire(Deployment, answer)
        found.pull_steps = _read_steps(answer.pull_steps or [])
        if not found.pull_steps and like.pull_steps is None:
            found.pull_steps = None
        limit = answer.global_concurrency_limit
        if limit is not None and limit.name.startswith(OWN_LIMIT):
            options = answer.concurrency_options
            given = options.model_dump(mode="json") if options else {}
            found.concurrency = from_values(
                Concurrency, {"collision_strategy": "ENQUEUE", **given, "limit": limit.limit}
            )
        elif limit is not None:
            found.global_concurrency_limit_id = str(limit.id)
        is_import = like.tags is None
        is_unset = like.work_queue_name is None and not is_import
        if found.work_queue_name == DEFAULT_QUEUE and is_unset:
            found.work_queue_name = None
        if answer.job_variables == NO_VARIABLES and json_equal(like.job_variables or "{}", "{}"):
            found.job_variables = JsonText("{}")
        schema, before = found.parameter_openapi_schema, like.parameter_openapi_schema
        if schema is None or (isinstance(before, str) and _is_open(schema) and _is_open(before)):
            found.parameter_openapi_schema = before if isinstance(before, str) else JsonText("{}")
        found.flow_name = self._flow_name(found, like)
        found.base_job_template = like.base_job_template
        found.effective_job_configuration = self._configuration(found)
        return found

    def _flow_name(self, found: Deployment, like: Deployment) -> str:
        if isinstance(like.flow_name, str) and like.flow_id in (found.flow_id, None):
            return like.flow_name
        return self.client.send(calls.flows.read(UUID(found.flow_id))).name

    def _configuration(self, found: Deployment) -> JsonText | None:
        if found.work_pool_name is None:
            return None
        if found.base_job_template is not None:
            return _configuration(json.loads(found.base_job_template), found.job_variables)
        try:
            pool = self.client.send(calls.work_pools.read(found.work_pool_name))
        except NotFound:
            return None
        return _configuration(pool.base_job_template, found.job_variables)


def _configuration(template: Mapping[str, Any], job_variables: str) -> JsonText:
    return JsonText(json_text(templates.job_configuration(template, json.loads(job_variables))))


def _planned_configuration(plan: Deployment, config: Deployment, prior: Deployment | None) -> Any:
    """What workers will run, as far as the configuration says it."""
    pool, template = config.work_pool_name, config.base_job_template
    if pool is None:
        return None
    if not is_known(pool) or not is_known(template) or not is_known(plan.job_variables):
        return UNKNOWN
    if template is not None:
        return _configuration(json.loads(template), plan.job_variables)
    # The pool may change in the same apply, so what the server has now promises nothing.
    stays = (
        prior is not None
        and prior.work_pool_name == pool
        and prior.base_job_template is None
        and json_equal(prior.job_variables, plan.job_variables)
    )
    return prior.effective_job_configuration if prior and stays else UNKNOWN


_NONE = from_values(Deployment, {})


def _own_limit(plan: Deployment, state: Deployment) -> dict[str, Any]:
    """The fields of the limit of its own, where it changes."""
    if plan.concurrency == state.concurrency:
        return {}
    if plan.concurrency is not None:
        options = {**to_values(plan.concurrency)}
        return {"concurrency_limit": options.pop("limit"), "concurrency_options": options}
    if plan.global_concurrency_limit_id is not None:
        # A limit of null beside it would delete the shared one (Prefect 3.8.4).
        return {"concurrency_options": None}
    return {"concurrency_limit": None, "concurrency_options": None}


def _steps(plan: Deployment) -> dict[str, Any]:
    """Pull steps as the API has them: one key, the step, over its arguments."""
    steps = []
    for step in plan.pull_steps or []:
        given = {"id": step.id, "requires": step.requires}
        named = {key: value for key, value in given.items() if value is not None}
        steps.append({step.step: {**named, **json.loads(step.inputs or "{}")}})
    return {"pull_steps": steps}


def _read_steps(steps: Iterable[Mapping[str, Any]]) -> list[PullStep]:
    found = []
    for each in steps:
        for path, given in each.items():
            inputs = dict(given) if isinstance(given, Mapping) else {}
            values = {key: inputs.pop(key, None) for key in ("id", "requires")}
            text = json_text(inputs) if inputs else None
            found.append(from_values(PullStep, {"step": path, "inputs": text, **values}))
    return found


def _is_open(schema: str) -> bool:
    """Whether a schema allows every object: the API writes such a one out."""
    given = json.loads(schema)
    return not {k: v for k, v in given.items() if v and (k, v) != ("type", "object")}


def _no_pool(plan: Deployment, error: NotFound) -> Exception:
    if plan.work_pool_name is None:
        return error
    problem = FieldProblem(("work_pool_name",), f'there is no work pool "{plan.work_pool_name}"')
    return Invalid(problem.message, problems=(problem,))
