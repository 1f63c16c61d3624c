"""`forebay_deployment_schedule`: the declaration of a schedule and its four verbs."""

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from uuid import UUID

from forebay.errors import Conflict, FieldProblem, Invalid, NotFound
from forebay_provider.api import calls, wire
from forebay_provider.connection import Connection
from forebay_provider.framework.checks import at_least, at_most, custom
from forebay_provider.framework.declarations import (
    JsonText,
    attribute,
    from_values,
    model,
)
from forebay_provider.framework.diagnostics import Diagnostic
from forebay_provider.framework.resource import Resource
from forebay_provider.framework.values import is_known
from forebay_provider.mapping import completed, from_wire, to_wire
from forebay_provider.names import MAX_INT, UUID_TEXT, as_uuid, no_such_id
from forebay_provider.resources import timing
from forebay_provider.resources.deployment_model import JSON_OBJECT

if TYPE_CHECKING:
    import forebay.wire.schedules

KINDS = ("cron", "interval", "rrule")
UTC = "UTC"  # the time zone of a schedule that names none
SAME: dict[str, Callable[[str, str], bool]] = {
    "cron": timing.same_cron,
    "interval": timing.same_interval,
    "rrule": timing.same_rule,
    "anchor_date": timing.same_instant,
}


def _interval_complaint(text: str) -> str | None:
    if timing.seconds(text) is not None:
        return None
    return f'must be seconds above zero, or a duration such as "1h30m" or "1d", not {text!r}'


def _instant_complaint(text: str) -> str | None:
    if timing.instant(text) is not None:
        return None
    return f'must be a time with its zone such as "2030-01-31T09:00:00Z", not {text!r}'


def _cron_complaint(text: str) -> str | None:
    if len(text.split()) in (5, 6) or text.strip().startswith("@"):
        return None
    return f'must have five fields such as "0 9 * * MON", or be a name such as "@daily": {text!r}'


def _rule_complaint(text: str) -> str | None:
    return None if "FREQ=" in text.upper() or "RDATE" in text.upper() else "must say FREQ="


CLEARED = ("max_scheduled_runs", "slug")  # what the API has null for


@model
class DeploymentSchedule:
    """When a deployment makes runs by itself. Exactly one of cron, interval, rrule is set."""

    id: str = attribute("ID (UUID) of the schedule.", computed=True)
    deployment_id: str = attribute("ID of the deployment.", replace=True, checks=(UUID_TEXT,))
    cron: str | None = attribute(
        "Cron expression. Compared without regard to spaces.",
        default=None,
        checks=(custom(_cron_complaint),),
    )
    interval: str | None = attribute(
        'Time between two runs: seconds, or a duration such as `"1h30m"`. Compared by length.',
        default=None,
        checks=(custom(_interval_complaint),),
    )
    rrule: str | None = attribute(
        "Recurrence rule (RFC 5545). A start that the server puts before it is no difference.",
        default=None,
        checks=(custom(_rule_complaint),),
    )
    day_or: bool | None = attribute(
        "With cron, whether a day of the month and a day of the week are joined by or, which is "
        "what cron does and what an unset one means.",
        default=None,
        computed=True,
    )
    anchor_date: str | None = attribute(
        "With an interval, the time from which it counts (RFC 3339); the server's time of "
        "creation if unset.",
        default=None,
        computed=True,
        checks=(custom(_instant_complaint),),
    )
    timezone: str | None = attribute(
        "IANA name of the time zone in which it is counted; UTC if unset.",
        default=None,
        computed=True,
    )
    active: bool = attribute("Whether runs are made of it.", default=True)
    max_scheduled_runs: int | None = attribute(
        "Most future runs at a time.", default=None, checks=(at_least(1), at_most(MAX_INT))
    )
    parameters: JsonText = attribute(
        "Parameters laid over the deployment's own, as a JSON object.",
        default="{}",
        checks=(JSON_OBJECT,),
    )
    slug: str | None = attribute("Name, unique in the deployment.", default=None)
    created: str = attribute("When the schedule was made (RFC 3339).", computed=True)


class DeploymentScheduleResource(Resource[DeploymentSchedule, Connection]):
    """Schedules are addressed by the ids of their deployment and their own."""

    name, model = "deployment_schedule", DeploymentSchedule
    identity = ("deployment_id", "id")
    import_doc = "`DEPLOYMENT_ID/SCHEDULE_ID` or `FLOW/DEPLOYMENT/SLUG`"

    @staticmethod
    def check(config: DeploymentSchedule) -> Iterable[Diagnostic]:
        values = [getattr(config, kind) for kind in KINDS]
        given = [kind for kind, value in zip(KINDS, values, strict=True) if value is not None]
        if len(given) > 1 or not given:
            yield Diagnostic(
                "One of cron, interval and rrule is needed",
                f"Set exactly one of {', '.join(KINDS)}, not {' and '.join(given) or 'none'}.",
                (given[-1],) if given else (),
            )
            return
        for name, kind in (("day_or", "cron"), ("anchor_date", "interval")):
            if getattr(config, name) is not None and kind not in given:
                text = f"{name} belongs to {kind}, and this schedule has {given[0]}."
                yield Diagnostic(f"{name} without {kind}", text, (name,))

    @staticmethod
    def derive(
        plan: DeploymentSchedule, config: DeploymentSchedule, prior: DeploymentSchedule | None
    ) -> DeploymentSchedule:
        if prior is not None:
            _keep(plan, prior)
        was = prior or from_values(DeploymentSchedule, {})
        if config.day_or is None:
            plan.day_or = was.day_or if was.day_or is True and config.cron is not None else None
        if config.timezone is None:
            plan.timezone = was.timezone if was.timezone == UTC else None
        if config.anchor_date is None and config.interval is None:
            plan.anchor_date = None
        return plan

    def create(self, plan: DeploymentSchedule, key: str) -> DeploymentSchedule:
        body = to_wire(plan, wire.schedules.DeploymentScheduleCreate, schedule=_schedule(plan))
        deployment = UUID(plan.deployment_id)
        try:
            (made,) = self.client.send(calls.deployments.create_schedules(deployment, [body]))
        except NotFound:
            problem = FieldProblem(("deployment_id",), f"there is no deployment {deployment}")
            raise Invalid(problem.message, problems=(problem,)) from None
        except Conflict as error:
            problem = FieldProblem(("slug",), str(error))
            raise Conflict(problem.message, problems=(problem,)) from None
        return completed(plan, lambda: _found(made, plan))

    def read(self, state: DeploymentSchedule) -> DeploymentSchedule | None:
        try:
            return _found(self._one(state), state)
        except NotFound:
            return None

    def update(self, plan: DeploymentSchedule, state: DeploymentSchedule) -> DeploymentSchedule:
        wanted = _schedule(plan)
        fixed = {"schedule": wanted} if wanted != _schedule(state) else {}
        shape = wire.schedules.DeploymentScheduleUpdate
        body = to_wire(plan, shape, since=state, **fixed)
        deployment, id = UUID(state.deployment_id), UUID(state.id)
        self.client.send(calls.deployments.update_schedule(deployment, id, body))
        self._require_cleared(plan, state)
        return completed(plan, lambda: _found(self._one(state), plan))

    def _require_cleared(self, plan: DeploymentSchedule, state: DeploymentSchedule) -> None:
        """Raise `Invalid` for what was to become null and did not: Prefect 3.8.4 ignores null."""
        wanted = [n for n in CLEARED if getattr(plan, n) is None and getattr(state, n) is not None]
        found = self._one(state) if wanted else None
        if kept := [name for name in wanted if getattr(found, name) is not None]:
            text = (
                f"the server keeps {' and '.join(kept)}: it does not take null in a change of a "
                "schedule. Make the schedule anew with terraform apply -replace=ADDRESS"
            )
            raise Invalid(text, problems=tuple(FieldProblem((name,), text) for name in kept[:1]))

    def delete(self, state: DeploymentSchedule) -> None:
        deployment, id = UUID(state.deployment_id), UUID(state.id)
        with suppress(NotFound):
            self.client.send(calls.deployments.delete_schedule(deployment, id))

    def find(self, text: str) -> DeploymentSchedule:
        parts = text.split("/")
        if len(parts) == 2 and all(map(as_uuid, parts)):
            return from_values(DeploymentSchedule, {"deployment_id": parts[0], "id": parts[1]})
        if len(parts) < 3 or not all(parts):
            raise no_such_id("schedule", text, self.import_doc)
        call = calls.deployments.read_by_name(parts[0], parts[1])
        slug = "/".join(parts[2:])
        deployment = self.client.send(call)
        for schedule in deployment.schedules:
            if schedule.slug == slug:
                ids = {"deployment_id": str(deployment.id), "id": str(schedule.id)}
                return from_values(DeploymentSchedule, ids)
        raise NotFound(f'The deployment {parts[0]}/{parts[1]} has no schedule "{slug}".')

    def _one(self, state: DeploymentSchedule) -> "forebay.wire.schedules.DeploymentSchedule":
        found = self.client.send(calls.deployments.schedules(UUID(state.deployment_id)))
        for schedule in found:
            if str(schedule.id) == state.id:
                return schedule
        raise NotFound(f"There is no schedule {state.id}.")


def _schedule(plan: DeploymentSchedule) -> dict[str, Any]:
    """The schedule proper as the API has it: what is null or unknown is left to the API."""
    given: dict[str, Any] = {"timezone": plan.timezone}
    if plan.cron is not None:
        given |= {"cron": plan.cron, "day_or": plan.day_or}
    elif plan.rrule is not None:
        given |= {"rrule": plan.rrule}
    elif plan.interval is not None:
        given |= {"interval": timing.seconds(plan.interval), "anchor_date": plan.anchor_date}
    return {key: v for key, v in given.items() if v is not None and is_known(v)}


def _found(
    answer: "forebay.wire.schedules.DeploymentSchedule", like: DeploymentSchedule
) -> DeploymentSchedule:
    """The schedule as it is, in the words of `like` where those say the same."""
    found = from_wire(DeploymentSchedule, answer)
    for name, value in answer.schedule.model_dump(mode="json").items():
        setattr(found, name, value)
    if found.interval is not None:
        found.interval = f"{float(found.interval):.15g}"
    is_import = like.created is None
    if not is_import and like.day_or is None and found.day_or is True:
        found.day_or = None
    if not is_import and like.timezone is None and found.timezone == UTC:
        found.timezone = None
    _keep(found, like)
    return found


def _keep(values: DeploymentSchedule, like: DeploymentSchedule) -> None:
    """Put the words of `like` into `values` wherever both say the same."""
    for name, is_same in SAME.items():
        one, other = getattr(values, name), getattr(like, name)
        if isinstance(one, str) and isinstance(other, str) and is_same(one, other):
            setattr(values, name, other)
