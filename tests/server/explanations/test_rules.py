"""Which condition is not met, as a table."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from forebay.wire.explanations import Explanation, Rule
from forebay.wire.states import StateType
from forebay_server.explanations.rules import (
    Limit,
    Pool,
    Queue,
    Run,
    explain_pool,
    explain_queue,
    explain_run,
)

NOW = datetime(2026, 5, 1, tzinfo=UTC)
RUN = Run(StateType.SCHEDULED, "Scheduled", NOW)
TEMPLATE = {"job_configuration": {"a": "{{ a }}"}, "variables": {"properties": {"a": {}}}}
POOL = Pool("p", is_paused=False, limit=Limit(None), online_workers=1, template=TEMPLATE)
QUEUE = Queue("q", is_paused=False, limit=Limit(None), last_polled=NOW)
FULL = Limit(2, held=2)


def unmet(explanation: Explanation) -> list[Rule]:
    return [condition.rule for condition in explanation.conditions if not condition.met]


def test_a_run_for_which_all_is_met_may_start() -> None:
    explanation = explain_run(RUN, POOL, QUEUE, NOW)

    assert unmet(explanation) == []
    assert explanation.may_start


@pytest.mark.parametrize(
    ("run", "pool", "queue", "rule"),
    [
        ({"state_type": StateType.COMPLETED}, {}, {}, Rule.STATE),
        ({"retries_itself": True}, {}, {}, Rule.STATE),
        ({"due": NOW + timedelta(seconds=1)}, {}, {}, Rule.SCHEDULED_TIME),
        ({}, {"is_paused": True}, {}, Rule.POOL_PAUSED),
        ({}, {"limit": FULL}, {}, Rule.POOL_LIMIT),
        ({}, {"limit": Limit(0)}, {}, Rule.POOL_LIMIT),
        ({}, {"online_workers": 0}, {}, Rule.WORKER_ONLINE),
        ({}, {}, {"is_paused": True}, Rule.QUEUE_PAUSED),
        ({}, {}, {"limit": FULL}, Rule.QUEUE_LIMIT),
        ({}, {}, {"last_polled": None}, Rule.QUEUE_POLLED),
        ({}, {}, {"last_polled": NOW - timedelta(seconds=61)}, Rule.QUEUE_POLLED),
        ({"deployment_limit": FULL}, {}, {}, Rule.DEPLOYMENT_LIMIT),
    ],
)
def test_a_condition_that_is_not_met_keeps_a_run_from_starting(
    run: dict[str, Any], pool: dict[str, Any], queue: dict[str, Any], rule: Rule
) -> None:
    explanation = explain_run(
        replace(RUN, **run), replace(POOL, **pool), replace(QUEUE, **queue), NOW
    )

    assert unmet(explanation) == [rule]
    assert not explanation.may_start


def test_a_run_on_no_queue_is_given_to_nobody() -> None:
    explanation = explain_run(RUN, None, None, NOW)

    assert unmet(explanation) == [Rule.PLACE]


@pytest.mark.parametrize("layers", [({"b": 1}, None), (None, {"b.c": 1}), ({"a": 1}, {"b": 1})])
def test_unknown_job_variables_are_told_and_keep_nothing_from_starting(
    layers: tuple[dict[str, Any] | None, ...],
) -> None:
    explanation = explain_run(replace(RUN, job_variables=layers), POOL, QUEUE, NOW)

    (condition,) = [each for each in explanation.conditions if not each.met]
    assert condition.rule is Rule.JOB_VARIABLES
    assert "declares no b:" in condition.detail
    assert explanation.may_start


def test_a_pool_without_a_template_knows_no_unknown_variable() -> None:
    run = replace(RUN, job_variables=({"b": 1},))

    assert unmet(explain_run(run, replace(POOL, template={}), QUEUE, NOW)) == []


@pytest.mark.parametrize("type", [StateType.PENDING, StateType.RUNNING, StateType.CANCELLING])
def test_a_run_that_has_its_slots_waits_for_none(type: StateType) -> None:
    run = replace(RUN, state_type=type, deployment_limit=FULL)

    explanation = explain_run(run, replace(POOL, limit=FULL), replace(QUEUE, limit=FULL), NOW)

    assert unmet(explanation) == [Rule.STATE]


@pytest.mark.parametrize(
    ("first_due", "is_met"), [(None, False), (NOW, True), (NOW + timedelta(seconds=1), False)]
)
def test_a_queue_and_a_pool_need_a_run_that_is_due(
    first_due: datetime | None, is_met: bool
) -> None:
    expected = [] if is_met else [Rule.DUE_RUN]

    assert unmet(explain_queue(QUEUE, POOL, first_due, NOW)) == expected
    assert unmet(explain_pool(POOL, first_due, NOW)) == expected
