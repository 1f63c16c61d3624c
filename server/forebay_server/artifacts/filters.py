"""What artifacts can be filtered by themselves. Source: Prefect 3.8.4 `Artifact…Filter`."""

from collections.abc import Iterator
from enum import StrEnum
from typing import Any

from sqlalchemy import FromClause, UnaryExpression, and_

from forebay_server.artifacts.tables import artifact_keys, artifacts
from forebay_server.db.criteria import (
    Condition,
    Criteria,
    Filter,
    IdCriteria,
    NameCriteria,
    Texts,
    any_or_not,
)


class ArtifactKeyCriteria(NameCriteria):
    """Which keys, or none."""

    exists_: bool | None = None


class ArtifactTypeCriteria(Criteria):
    """Which types."""

    any_: Texts | None = None
    not_any_: Texts | None = None


class _VersionFilter(Filter):
    """What a version can be filtered by, whether it is the latest or not."""

    key: ArtifactKeyCriteria | None = None
    flow_run_id: IdCriteria | None = None
    task_run_id: IdCriteria | None = None
    type: ArtifactTypeCriteria | None = None

    def condition(self) -> Condition:
        """What a row of artifacts must fulfil."""
        return self.joined(self._conditions())

    def _conditions(self) -> Iterator[Condition]:
        if self.key is not None:
            yield from self.key.conditions(artifacts.c.key)
            if self.key.exists_ is not None:
                key = artifacts.c.key
                yield key.is_not(None) if self.key.exists_ else key.is_(None)
        if self.flow_run_id is not None:
            yield from self.flow_run_id.conditions(artifacts.c.flow_run_id)
        if self.task_run_id is not None:
            yield from self.task_run_id.conditions(artifacts.c.task_run_id)
        if self.type is not None:
            yield and_(*any_or_not(artifacts.c.type, self.type.any_, self.type.not_any_))


class ArtifactFilter(_VersionFilter):
    """Which versions."""

    id: IdCriteria | None = None

    def _conditions(self) -> Iterator[Condition]:
        yield from super()._conditions()
        if self.id is not None:
            yield from self.id.conditions(artifacts.c.id)


class LatestFilter(_VersionFilter):
    """Which versions among the latest of each key."""

    latest_id: IdCriteria | None = None

    def _conditions(self) -> Iterator[Condition]:
        yield from super()._conditions()
        if self.latest_id is not None:
            yield from self.latest_id.conditions(artifacts.c.id)


class ArtifactSort(StrEnum):
    """The orders of artifacts; equal ones stand in order of id, those without a key last."""

    CREATED_DESC = "CREATED_DESC"
    UPDATED_DESC = "UPDATED_DESC"
    ID_DESC = "ID_DESC"
    KEY_ASC = "KEY_ASC"
    KEY_DESC = "KEY_DESC"

    def columns(self) -> tuple[UnaryExpression[Any], ...]:
        """A total order of versions."""
        return self._columns(artifacts, artifacts)

    def latest_columns(self) -> tuple[UnaryExpression[Any], ...]:
        """A total order of keys, changed when their latest version was."""
        return self._columns(artifact_keys, artifacts)

    def _columns(self, of: FromClause, changed: FromClause) -> tuple[UnaryExpression[Any], ...]:
        match self:
            case ArtifactSort.CREATED_DESC:
                return (of.c.created.desc(), of.c.id.desc())
            case ArtifactSort.UPDATED_DESC:
                return (changed.c.updated.desc(), of.c.id.desc())
            case ArtifactSort.KEY_ASC:
                return (of.c.key.asc().nulls_last(), of.c.id.asc())
            case ArtifactSort.KEY_DESC:
                return (of.c.key.desc().nulls_last(), of.c.id.desc())
        return (of.c.id.desc(),)
