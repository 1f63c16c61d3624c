"""What events can be filtered by. Decides in Python, so that a stream and a replay agree.

Source: Prefect 3.8.4 `server/events/filters.py`. Unlike elsewhere in the API an empty list is no
constraint, except for the values of a label.
"""

from collections.abc import Iterable
from typing import Annotated, Literal, TypeVar

from pydantic import Field

from forebay.wire.base import Text, Timestamp
from forebay.wire.events import RESOURCE_ID, RESOURCE_ROLE, Event
from forebay_server import search
from forebay_server.db.criteria import Criteria, Ids, Texts
from forebay_server.events.sources import Narrowing

T = TypeVar("T")

MAX_LABELS = 500
MAX_NARROWED = 100  # values of one kind in a statement: SQLite nests few conditions

Resource = dict[str, str]
Labels = Annotated[dict[Text, Text | Texts], Field(max_length=MAX_LABELS)]


class OccurredCriteria(Criteria):
    """When, by the sender's clock; bounds included."""

    since: Timestamp | None = None
    until: Timestamp | None = None

    def includes(self, event: Event) -> bool:
        """Whether `event` is within the bounds."""
        is_after = self.since is None or event.occurred >= self.since
        return is_after and (self.until is None or event.occurred <= self.until)


class EventNameCriteria(Criteria):
    """Which names."""

    prefix: Texts | None = None
    exclude_prefix: Texts | None = None
    name: Texts | None = None
    exclude_name: Texts | None = None

    def includes(self, name: str) -> bool:
        """Whether `name` is one of them."""
        if self.prefix and not name.startswith(tuple(self.prefix)):
            return False
        if self.exclude_prefix and name.startswith(tuple(self.exclude_prefix)):
            return False
        if self.name and name not in self.name:
            return False
        return not (self.exclude_name and name in self.exclude_name)


class AnyResourceCriteria(Criteria):
    """Which resources, in whatever role."""

    id: Texts | None = None
    id_prefix: Texts | None = None
    labels: Labels | None = None

    def includes(self, resource: Resource) -> bool:
        """Whether `resource` fulfils every criterion."""
        if self.id and resource[RESOURCE_ID] not in self.id:
            return False
        if self.id_prefix and not resource[RESOURCE_ID].startswith(tuple(self.id_prefix)):
            return False
        return has_labels(resource, self.labels)


class ResourceCriteria(AnyResourceCriteria):
    """Which primary resources; `distinct` keeps the last stored event of each."""

    distinct: bool = False


class RelatedCriteria(Criteria):
    """Which related resources; one of an event's must fulfil every criterion."""

    id: Texts | None = None
    role: Texts | None = None
    resources_in_roles: list[tuple[Text, Text]] | None = None
    labels: Labels | None = None

    def includes(self, resource: Resource) -> bool:
        """Whether `resource` fulfils every criterion."""
        id, role = resource[RESOURCE_ID], resource[RESOURCE_ROLE]
        if self.id and id not in self.id:
            return False
        if self.role and role not in self.role:
            return False
        if self.resources_in_roles and (id, role) not in self.resources_in_roles:
            return False
        return has_labels(resource, self.labels)


class EventIdCriteria(Criteria):
    """Which ids."""

    id: Ids | None = None


class EventTextCriteria(Criteria):
    """Words in the name, in values of labels and in the payload, in any case."""

    query: Text = Field(max_length=200)

    def includes(self, event: Event) -> bool:
        """Whether the words are there."""
        terms = search.parse(self.query.lower())
        resources = (event.resource, *event.related)
        values = (value for resource in resources for value in resource.values())
        text = " ".join((event.event, *values, str(event.payload))).lower()
        if terms.wanted and not any(term in text for term in terms.wanted):
            return False
        if any(term in text for term in terms.forbidden):
            return False
        return all(term in text for term in terms.required)


class EventFilter(Criteria):
    """All criteria must be fulfilled. Source: Prefect 3.8.4 `EventFilter`.

    `order` is that of pages; a stream is always in order of time.
    """

    occurred: OccurredCriteria | None = None
    event: EventNameCriteria | None = None
    resource: ResourceCriteria | None = None
    related: RelatedCriteria | list[RelatedCriteria] | None = None
    any_resource: AnyResourceCriteria | list[AnyResourceCriteria] | None = None
    id: EventIdCriteria | None = None
    text: EventTextCriteria | None = None
    order: Literal["ASC", "DESC"] | None = None

    @property
    def is_oldest_first(self) -> bool:
        """Whether pages begin with the oldest event; else with the newest."""
        return self.order == "ASC"

    @property
    def is_distinct(self) -> bool:
        """Whether only the last event of each primary resource is wanted."""
        return self.resource is not None and self.resource.distinct

    def may_include(self, name: str) -> bool:
        """Whether an event of this name can be included."""
        return self.event is None or self.event.includes(name)

    def includes(self, event: Event) -> bool:
        """Whether `event` fulfils every criterion."""
        if not self.may_include(event.event):
            return False
        if self.occurred is not None and not self.occurred.includes(event):
            return False
        if self.id is not None and self.id.id and event.id not in self.id.id:
            return False
        if self.resource is not None and not self.resource.includes(event.resource):
            return False
        for related in _listed(self.related):
            if not any(related.includes(resource) for resource in event.related):
                return False
        for wanted in _listed(self.any_resource):
            if not any(wanted.includes(part) for part in (event.resource, *event.related)):
                return False
        return self.text is None or self.text.includes(event)

    def narrowing(self) -> Narrowing:
        """The part that indexes can answer."""
        return Narrowing(
            since=self.occurred.since if self.occurred else None,
            until=self.occurred.until if self.occurred else None,
            names=_narrow(self.event.name if self.event else None),
            prefixes=_narrow(self.event.prefix if self.event else None),
            ids=_narrow(self.id.id if self.id else None),
            resource_ids=_narrow(self.resource.id if self.resource else None),
        )

    def is_narrowed(self) -> bool:
        """Whether `narrowing` says it all, so that a database can count.

        Prefixes it does not say exactly: databases differ in how they take upper and lower case.
        """
        names, resource = self.event or EventNameCriteria(), self.resource or ResourceCriteria()
        listed = (names.name, resource.id, self.id.id if self.id else None)
        return not (
            any(len(values) > MAX_NARROWED for values in listed if values)
            or self.related
            or self.any_resource
            or self.text
            or (names.prefix or names.exclude_prefix or names.exclude_name)
            or (resource.id_prefix or resource.labels or resource.distinct)
        )


def _narrow(values: list[T] | None) -> tuple[T, ...] | None:
    """`values` for a statement, unless they are none or more than one should hold."""
    return tuple(values) if values and len(values) <= MAX_NARROWED else None


def has_labels(resource: Resource, labels: dict[str, str | list[str]] | None) -> bool:
    """Whether `resource` has every label with one of its values.

    `!value` must not be the label's value, which must be there; `value*` is a prefix.
    """
    return all(
        _fits(resource.get(label), [values] if isinstance(values, str) else values)
        for label, values in (labels or {}).items()
    )


def _fits(value: str | None, expected: list[str]) -> bool:
    if value is None or not expected:
        return False
    forbidden = [text.removeprefix("!") for text in expected if text.startswith("!")]
    wanted = [text for text in expected if not text.startswith("!")]
    if any(_is_like(value, text) for text in forbidden):
        return False
    return not wanted or any(_is_like(value, text) for text in wanted)


def _is_like(value: str, pattern: str) -> bool:
    return value.startswith(pattern[:-1]) if pattern.endswith("*") else value == pattern


def _listed(found: T | list[T] | None) -> Iterable[T]:
    if found is None:
        return ()
    return found if isinstance(found, list) else [found]
