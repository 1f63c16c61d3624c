"""When deployments run by themselves, on the wire. Source: Prefect 3.8.4 `…Schedule`.

Knows the shapes only: whether an expression or a time zone exists is for the server to say.
"""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

from pydantic import Discriminator, Field, PlainSerializer, Tag

from forebay.wire.base import MAX_INT, Action, JsonObject, Object, Text, Timestamp

Seconds = Annotated[
    timedelta,
    Field(gt=timedelta(0)),
    PlainSerializer(timedelta.total_seconds, return_type=float),
]


def _now() -> datetime:
    return datetime.now(UTC)


class IntervalSchedule(Action):
    """Every `interval` seconds, counted from `anchor_date`.

    Whole days are added in local time, so that a daily run keeps its hour; the rest in
    absolute time.
    """

    interval: Seconds = Field(description="Seconds between two runs, more than 0.")
    anchor_date: Timestamp = Field(default_factory=_now, description="Default: now.")
    timezone: Text | None = Field(default="UTC", description="IANA name of a time zone.")


class CronSchedule(Action):
    """When a cron expression says so, in local time."""

    cron: Text = Field(max_length=1000, description="Five fields, or a name such as `@daily`.")
    timezone: Text | None = Field(default=None, description="IANA name; null means UTC.")
    day_or: bool = Field(
        default=True,
        description="Whether day of month and day of week are joined by or, as cron does.",
    )


class RRuleSchedule(Action):
    """When a recurrence rule says so (RFC 5545), in local time."""

    rrule: Text = Field(max_length=6500, description="Rule, rule set, dates and exceptions.")
    timezone: Text | None = Field(default="UTC", description="IANA name of a time zone.")


def _kind(value: Any) -> str:
    keys = value if isinstance(value, dict) else getattr(type(value), "model_fields", ())
    return next((kind for kind in ("cron", "rrule") if kind in keys), "interval")


Schedule = Annotated[
    Annotated[IntervalSchedule, Tag("interval")]
    | Annotated[CronSchedule, Tag("cron")]
    | Annotated[RRuleSchedule, Tag("rrule")],
    Discriminator(_kind),
]
MaxScheduledRuns = Annotated[int, Field(gt=0, le=MAX_INT)]
Slug = Annotated[Text, Field(min_length=1, max_length=255)]


class DeploymentScheduleCreate(Action):
    """A schedule of a deployment."""

    schedule: Schedule
    active: bool = Field(default=True, description="Whether runs are made of it.")
    max_scheduled_runs: MaxScheduledRuns | None = Field(
        default=None, description="Most future runs of this schedule at a time."
    )
    parameters: JsonObject = Field(
        default_factory=dict, description="Laid over the deployment's own parameters."
    )
    slug: Slug | None = Field(default=None, description="Name, unique in the deployment.")
    replaces: Slug | None = Field(
        default=None, description="Slug of the schedule that this one takes the place of."
    )


class DeploymentScheduleUpdate(Action):
    """The keys that are present are changed."""

    schedule: Schedule | None = None
    active: bool | None = None
    max_scheduled_runs: MaxScheduledRuns | None = None
    parameters: JsonObject | None = None
    slug: Slug | None = None
    replaces: Slug | None = None


class DeploymentSchedule(Object):
    """A schedule as the API answers it."""

    deployment_id: UUID
    schedule: Schedule
    active: bool = True
    max_scheduled_runs: int | None = None
    parameters: dict[str, Any] = Field(default_factory=dict)
    slug: str | None = None
