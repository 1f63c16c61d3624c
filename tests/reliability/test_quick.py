"""A small part of every reliability module, on what this machine has."""

import json
from collections.abc import Callable
from functools import partial

import pytest

from tests.conftest import missing, require_tool
from tests.reliability import (
    broken_applies,
    clocks,
    cuts,
    drain,
    drain_worker,
    full_disk,
    interleavings,
    kill_api,
    kill_worker,
    limits_race,
    lost_answers,
    model,
    postgres_restart,
    slow_database,
    sqlite_contention,
    worker_clocks,
    zombie,
)
from tests.reliability.ground import Figures, Ground, Options, run

POSTGRES = pytest.param("postgres", 2, marks=pytest.mark.postgres)


def holds(name: str, play: Callable[[Ground], Figures], options: Options) -> None:
    """Run a module and see that every bound holds."""
    try:
        figures = run(name, play, options)
    except FileNotFoundError as error:
        missing(f"PostgreSQL cannot be started: {error}")
    assert figures["ok"], json.dumps(figures)


@pytest.mark.parametrize(("db", "servers"), [("sqlite", 1), POSTGRES])
def test_limits_hold_in_a_race(db: str, servers: int) -> None:
    holds("limits_race", limits_race.play, Options(db, servers, seconds=5))


def test_clients_of_one_sqlite_file_do_not_fail() -> None:
    holds("sqlite_contention", sqlite_contention.play, Options(seconds=4))


def test_a_lost_answer_makes_nothing_twice() -> None:
    holds("lost_answers", lost_answers.play, Options(seconds=4))


def test_runs_of_killed_workers_move_on() -> None:
    holds("kill_worker", kill_worker.play, Options(seconds=20))


@pytest.mark.postgres
def test_a_worker_and_a_server_that_stood_still_change_nothing() -> None:
    holds("zombie", zombie.play, Options("postgres"))


def test_what_a_killed_server_has_acknowledged_is_there() -> None:
    holds("kill_api", kill_api.play, Options(seconds=3))


@pytest.mark.postgres
def test_no_order_of_statements_breaks_a_guarantee() -> None:
    play = partial(interleavings.play, schedules=60)

    holds("interleavings", play, Options("postgres", 3, seconds=60))


@pytest.mark.postgres
def test_both_databases_answer_as_the_model_says() -> None:
    holds("model", partial(model.play, steps=250), Options("postgres", seed=5))


@pytest.mark.postgres
def test_restarting_servers_in_turn_fails_no_request() -> None:
    holds("drain", drain.play, Options("postgres", 2, seconds=3))


def test_workers_that_are_told_to_end_leave_no_run_behind() -> None:
    plan = (("insistent", "claiming"), ("rescheduled", "running"))

    holds("drain_worker", partial(drain_worker.play, plan=plan), Options())


@pytest.mark.terraform
def test_broken_applies_leave_no_orphan_and_nothing_twice() -> None:
    require_tool("terraform")

    holds("broken_applies", partial(broken_applies.play, rounds=2), Options(seed=3))


@pytest.mark.postgres
def test_a_restarted_database_loses_nothing_and_is_soon_used_again() -> None:
    holds("postgres_restart", postgres_restart.play, Options("postgres", seconds=1))


def test_health_does_not_wait_for_a_locked_database() -> None:
    holds("slow_database", slow_database.play, Options())


def test_short_cuts_between_worker_and_server_change_nothing() -> None:
    holds("cuts", cuts.play, Options(seconds=3))


def test_a_full_disk_is_told_and_breaks_nothing() -> None:
    holds("full_disk", full_disk.play, Options())


def test_no_lease_and_no_schedule_minds_a_clock_that_jumps() -> None:
    holds("clocks", clocks.play, Options(seconds=1))


def test_no_lease_and_no_schedule_minds_the_clocks_of_workers() -> None:
    holds("worker_clocks", partial(worker_clocks.play, workers=2), Options(seconds=3))
