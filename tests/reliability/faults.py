"""Faults to plant in the product, one at a time, each with a test that must fail of it.

A fault is a change of source: the text must be there once, and the changed module must still load.
"""

from dataclasses import dataclass

SERVER = "server/forebay_server"
WORKER = "worker/forebay_worker"
CLIENT = "client/forebay"

STATES = "tests/server/flow_runs/test_set_state.py"
RESCUES = "tests/server/flow_runs/test_rescues.py"
CLAIMS = "tests/server/dispatch/test_claims.py"
ADOPTION = "tests/server/dispatch/test_adoption.py"
POLLING = "tests/server/flow_runs/test_polling.py"
KEYS = "tests/server/idempotency/test_keys.py"
TOKENS = "tests/server/access/test_tokens.py"
TRANSACTIONS = "tests/server/db/test_transactions.py"
COMMITS = "tests/server/db/test_shared_commits.py"
DRAIN = "tests/reliability/test_quick.py::test_workers_that_are_told_to_end_leave_no_run_behind"
RULES = f"{SERVER}/flow_runs/rules.py"


@dataclass(frozen=True)
class Fault:
    """What is wrong, where, and by which test that is found."""

    name: str
    file: str
    text: str
    instead: str
    test: str
    needs_postgres: bool = False


def _on_sqlite(file: str, test: str) -> str:
    return f"{file}::{test}[sqlite]"


FAULTS: tuple[Fault, ...] = (
    # ------------------------------------------------------------------ claims and limits
    Fault(
        "proposals lock nothing",
        f"{SERVER}/flow_runs/transitions.py",
        "for statement in _locks(proposed):",
        "for statement in ():",
        "tests/server/claims/test_concurrency.py::test_a_limit_is_reached_and_never_exceeded",
        needs_postgres=True,
    ),
    Fault(
        "facts are read before the locks are held",
        f"{SERVER}/flow_runs/transitions.py",
        """    await _lock(db, run_id, proposed)
    found = await db.run(
        facts_statement(db.dialect), {"run_id": run_id, "worker_name": worker_name}
    )
""",
        """    found = await db.run(
        facts_statement(db.dialect), {"run_id": run_id, "worker_name": worker_name}
    )
    await _lock(db, run_id, proposed)
""",
        "tests/server/claims/test_concurrency.py::test_a_limit_is_reached_and_never_exceeded",
        needs_postgres=True,
    ),
    Fault(
        "claims of many do not lock the pool",
        f"{SERVER}/dispatch/queries.py",
        "return Prepared(statement.with_for_update(key_share=True, of=work_pools))",
        "return Prepared(statement)",
        "tests/server/dispatch/test_races.py::test_takers_of_many_and_of_one_keep_a_limit_together",
        needs_postgres=True,
    ),
    Fault(
        "SQLite's writers begin as readers",
        f"{SERVER}/db/engine.py",
        '"BEGIN IMMEDIATE"',
        '"BEGIN"',
        f"{TRANSACTIONS}::test_writers_of_one_file_wait_for_each_other_from_their_first_read",
    ),
    Fault(
        "two live claims of a run can be stored",
        f"{SERVER}/db/migrations/versions/0001_first_tables.py",
        """            "ix_claim_live_run",
            ["flow_run_id"],
            unique=True,
""",
        """            "ix_claim_live_run",
            ["flow_run_id"],
            unique=False,
""",
        f"{TRANSACTIONS}::test_the_database_itself_refuses_a_second_live_claim",
    ),
    Fault(
        "claims that have ended are counted",
        f"{SERVER}/claims/queries.py",
        "counted.where(is_there, _counted.c.ended_at.is_(None))",
        "counted.where(is_there)",
        f"{STATES}::test_the_slot_is_free_after_the_run",
    ),
    Fault(
        "one slot more than the limit",
        f"{SERVER}/flow_runs/facts.py",
        "free is None or free > 0",
        "free is None or free >= 0",
        _on_sqlite(STATES, "test_a_pool_s_limit_holds_across_its_queues"),
    ),
    Fault(
        "the pool's limit is not compared",
        f"{SERVER}/flow_runs/facts.py",
        "for free in (self.pool_free, self.queue_free)",
        "for free in (self.queue_free,)",
        _on_sqlite(STATES, "test_a_pool_s_limit_holds_across_its_queues"),
    ),
    Fault(
        "claims of many are made from a paused pool",
        f"{SERVER}/dispatch/queries.py",
        "is_paused = pool.is_paused | queue.is_paused",
        "is_paused = queue.is_paused",
        f"{CLAIMS}::test_what_is_paused_gives_nothing",
    ),
    Fault(
        "a run that is cancelled gives its slot away too early",
        f"{CLIENT}/wire/states.py",
        "HOLDING = frozenset({StateType.PENDING, StateType.RUNNING, StateType.CANCELLING})",
        "HOLDING = frozenset({StateType.PENDING, StateType.RUNNING})",
        f"{STATES}::test_cancelling_and_pausing_hold_the_slot",
    ),
    Fault(
        "a paused queue gives runs away",
        f"{SERVER}/flow_runs/transitions.py",
        "(work_pools.c.is_paused | work_queues.c.is_paused)",
        "work_pools.c.is_paused",
        f"{STATES}::test_a_pause_stops_claims",
    ),
    Fault(
        "a run is claimed although another holds it",
        RULES,
        "    _pending_guard,\n",
        "",
        _on_sqlite(STATES, "test_second_claim_of_a_run_is_aborted"),
    ),
    Fault(
        "a lost answer is not given again",
        RULES,
        "_NORMAL = (\n    _duplicate,\n",
        "_NORMAL = (\n",
        f"{STATES}::test_a_claimant_that_lost_the_answer_gets_it_again",
    ),
    Fault(
        "an attempt that is repeated claims more",
        f"{SERVER}/dispatch/claiming.py",
        "if found[0].is_repeat:",
        "if False:",
        f"{CLAIMS}::test_a_lost_answer_is_given_again",
    ),
    Fault(
        "epochs are not compared",
        RULES,
        "    _stale_epoch,\n    _second_start,\n",
        "    _second_start,\n",
        _on_sqlite(STATES, "test_a_holder_of_an_older_epoch_changes_nothing"),
    ),
    Fault(
        "one claim is started twice",
        RULES,
        "    _second_start,\n",
        "",
        _on_sqlite(STATES, "test_of_two_engines_on_one_claim_the_second_is_aborted"),
    ),
    Fault(
        "a new claim has the infrastructure of the last one",
        f"{SERVER}/flow_runs/transitions.py",
        '            columns["infrastructure_pid"] = None',
        "            pass",
        _on_sqlite(STATES, "test_a_run_claimed_again_has_the_next_epoch_and_no_infrastructure"),
    ),
    # -------------------------------------------------------------- leases and rescues
    Fault(
        "leases are by the process's clock",
        f"{SERVER}/db/engine.py",
        '            if self.dialect == "sqlite":\n                self._now = now()',
        "            if True:\n                self._now = now()",
        f"{TRANSACTIONS}::test_time_is_the_databases",
        needs_postgres=True,
    ),
    Fault(
        "a run is rescued by everybody who saw it expired",
        f"{SERVER}/flow_runs/rescues.py",
        ".where(claims.c.id == claim_id, claim_queries.is_live(), claims.c.expires_at <= at)",
        ".where(claims.c.id == claim_id)",
        _on_sqlite(RESCUES, "test_many_rescuers_rescue_a_run_once"),
    ),
    Fault(
        "a sweep waits for runs that are worked on",
        f"{SERVER}/flow_runs/rescues.py",
        ".with_for_update(skip_locked=True, key_share=True)",
        ".with_for_update(key_share=True)",
        "tests/server/flow_runs/test_sweeps.py"
        "::test_a_sweep_does_not_wait_for_a_run_that_somebody_works_on",
        needs_postgres=True,
    ),
    Fault(
        "leases end although the server was away",
        f"{SERVER}/services/rescuer.py",
        "if abs(jump) <= GREATEST_JUMP_SECONDS and not was_away:",
        "if abs(jump) <= GREATEST_JUMP_SECONDS:",
        _on_sqlite(RESCUES, "test_nothing_expires_while_the_server_or_its_database_was_away"),
    ),
    Fault(
        "leases end when the clock jumps",
        f"{SERVER}/services/rescuer.py",
        "if abs(jump) <= GREATEST_JUMP_SECONDS and not was_away:",
        "if not was_away:",
        _on_sqlite(RESCUES, "test_nothing_expires_when_the_clock_jumps"),
    ),
    Fault(
        "a lost run is rescheduled for ever",
        f"{SERVER}/flow_runs/rescues.py",
        " and lost.rescue_count < lost.max_rescues",
        "",
        _on_sqlite(RESCUES, "test_a_run_is_rescued_so_often_and_no_more"),
    ),
    Fault(
        "a writer returns before the commit that it shares",
        f"{SERVER}/db/shared_commits.py",
        "if not group.is_ended:\n            await _whole(self._settle(group))",
        "if not group.is_ended:\n            asyncio.ensure_future(self._settle(group))",
        f"{COMMITS}::test_nobody_returns_before_the_commit",
    ),
    Fault(
        "what a failed writer did is committed with the others",
        f"{SERVER}/db/shared_commits.py",
        "await group.driver.roll_back_to(savepoint)",
        "pass",
        f"{COMMITS}::test_one_that_fails_takes_nobody_with_it",
    ),
    Fault(
        "a shared commit that failed is told to one writer only",
        f"{SERVER}/db/shared_commits.py",
        "            group.failure = error\n        await self._end(group)",
        "            await self._end(group)\n            raise error\n        await self._end(group)",
        f"{COMMITS}::test_a_commit_that_fails_fails_for_all_and_the_next_begins_anew",
    ),
    Fault(
        "a heartbeat renews the claims of every worker",
        f"{SERVER}/claims/queries.py",
        """        claims.c.worker_name == bindparam("holder_name"),
        is_live(),
""",
        """        is_live(),
""",
        "tests/server/workers/test_workers.py"
        "::test_heartbeat_renews_the_leases_of_that_worker_only",
    ),
    Fault(
        "a claim passes on while its holder is alive",
        f"{SERVER}/dispatch/adoption.py",
        "if not claim.may_pass:",
        "if False:",
        f"{ADOPTION}::test_a_run_is_not_taken_from_who_looks_after_it",
    ),
    Fault(
        "an adopted claim keeps its epoch",
        f"{SERVER}/dispatch/adoption.py",
        "epoch: int = run.epoch + 1",
        "epoch: int = run.epoch",
        f"{ADOPTION}::test_a_restarted_worker_goes_on_with_the_next_epoch_and_the_same_slot",
    ),
    # ------------------------------------------------------------- transactions and order
    Fault(
        "what follows a commit comes before it",
        f"{SERVER}/db/engine.py",
        "            yield transaction\n        transaction.committed()",
        "            yield transaction\n            transaction.committed()",
        f"{TRANSACTIONS}::test_what_follows_a_commit_finds_it_committed",
    ),
    Fault(
        "SQLite does not wait for the disk",
        f"{SERVER}/db/engine.py",
        'cursor.execute(f"PRAGMA synchronous={synchronous}")',
        'cursor.execute("PRAGMA synchronous=OFF")',
        f"{TRANSACTIONS}::test_sqlite_waits_for_the_disk_unless_it_is_told_not_to",
    ),
    Fault(
        "a transaction that lost is not tried again",
        f"{SERVER}/protocol.py",
        "if attempt == MAX_TRIES or not is_lost_race(error):",
        "if True:",
        "tests/server/test_retries.py"
        "::test_a_request_that_waited_too_long_for_a_lock_is_tried_again",
        needs_postgres=True,
    ),
    Fault(
        "a poll shows the runs of paused queues",
        f"{SERVER}/flow_runs/polling.py",
        "case((queue.is_paused, false()), else_=first_due.is_not(None))",
        "first_due.is_not(None)",
        f"{POLLING}::test_nothing_is_offered_from_what_is_paused",
    ),
    Fault(
        "a poll's order is that of ids alone",
        f"{SERVER}/flow_runs/polling.py",
        ".order_by(found.c.priority, due, id)",
        ".order_by(id)",
        f"{POLLING}::test_runs_are_offered_by_priority_and_time",
    ),
    Fault(
        "workers who poll at once are offered the same runs",
        f"{SERVER}/flow_runs/polling.py",
        "min(offered + others, MOST_FURTHER_RUNS)",
        "min(offered, MOST_FURTHER_RUNS)",
        "tests/server/flow_runs/test_offers.py"
        "::test_workers_who_poll_at_once_are_offered_other_runs_too",
    ),
    Fault(
        "a claim's order is that of ids alone",
        f"{SERVER}/dispatch/queries.py",
        ".order_by(found.c.priority, due, id)",
        ".order_by(id)",
        f"{CLAIMS}::test_runs_come_by_priority_then_time",
    ),
    # ------------------------------------------------------------------- keys and answers
    Fault(
        "a key's body is not compared",
        f"{SERVER}/idempotency/keys.py",
        "if known.body_digest != body_digest:",
        "if False:",
        f"{KEYS}::test_a_key_with_another_body_is_refused",
    ),
    Fault(
        "callers share their keys",
        f"{SERVER}/idempotency/keys.py",
        "_digest(principal.name, request.method,",
        "_digest(request.method,",
        f"{KEYS}::test_callers_do_not_share_keys",
    ),
    Fault(
        "a repeated creation creates again",
        f"{SERVER}/protocol.py",
        "if is_creating:",
        "if False:",
        f"{KEYS}::test_a_repeated_creation_gets_the_first_answer",
    ),
    Fault(
        "what is not there is an error of the server",
        f"{SERVER}/errors.py",
        'status, code = 404, "not_found"',
        'status, code = 500, "not_found"',
        "tests/server/workers/test_workers.py::test_pool_that_is_not_there_answers_404",
    ),
    Fault(
        "a refusal repeats what was sent",
        f"{SERVER}/protocol.py",
        '"msg": problem["msg"]}',
        '"msg": problem["msg"], "input": problem.get("input")}',
        "tests/server/test_bad_input.py::test_what_cannot_be_stored_is_refused_by_its_place",
    ),
    # -------------------------------------------------------------------- who may do what
    Fault(
        "roles are not checked",
        f"{SERVER}/access/authentication.py",
        "if roles is not None and principal.role not in roles:",
        "if False:",
        "tests/server/access/test_roles.py"
        "::test_each_operation_is_open_to_the_roles_of_the_threat_model",
    ),
    Fault(
        "a worker reaches other pools' runs",
        f"{SERVER}/access/authentication.py",
        "if principal.pool is None or kind is None:",
        "if True:",
        f"{TOKENS}::test_stock_worker_works_with_the_token_of_its_pool",
    ),
    Fault(
        "tokens are stored in clear",
        f"{SERVER}/access/authentication.py",
        "return hashlib.sha256(token.encode()).hexdigest()",
        "return token",
        f"{TOKENS}::test_only_the_hash_is_stored_and_only_the_first_answer_has_the_secret",
    ),
    Fault(
        "expired tokens are taken",
        f"{SERVER}/access/queries.py",
        ".where(tokens.c.hash == token_hash, is_live)",
        ".where(tokens.c.hash == token_hash)",
        f"{TOKENS}::test_expired_token_is_refused",
    ),
    Fault(
        "secrets of blocks are shown to everybody",
        f"{SERVER}/blocks/documents.py",
        "        if self._include_secrets:\n",
        "        if True:\n",
        "tests/server/blocks/test_documents.py::test_secrets_are_masked_unless_they_are_asked_for",
    ),
    # ----------------------------------------------------------------------------- workers
    Fault(
        "a worker never fences itself",
        f"{WORKER}/leases.py",
        "return time.monotonic() - self._renewed_at > self._length * 2 / 3",
        "return False",
        "tests/worker/test_leases.py::test_nothing_is_started_after_two_thirds_of_a_lease",
    ),
    Fault(
        "a worker goes on after its leases are over",
        f"{WORKER}/loop.py",
        "                    run.end(LEASE_OVER)",
        "                    pass",
        "tests/worker/test_leases.py::test_a_worker_that_is_cut_off_ends_what_others_are_given",
    ),
    Fault(
        "a worker sends no heartbeats",
        f"{WORKER}/loop.py",
        "if await at.client.send(call) and not at.stopping.is_set():",
        "if False:",
        "tests/worker/test_worker.py::test_worker_is_online_while_it_serves",
    ),
    Fault(
        "a worker takes more runs than it may",
        f"{WORKER}/loop.py",
        "return max(0, self._options.limit - len(self._runs))",
        "return self._options.limit",
        "tests/worker/test_worker.py::test_limit_is_never_exceeded",
    ),
    Fault(
        "a request for work is made anew after a lost answer",
        f"{WORKER}/sources.py",
        "self._attempt = self._attempt or uuid4()",
        "self._attempt = uuid4()",
        "tests/worker/test_sources.py::test_an_attempt_is_repeated_until_it_is_answered",
    ),
    Fault(
        "what was claimed while a worker stopped is forgotten",
        f"{WORKER}/sources.py",
        "if self._attempt is None or not self._has_claims:",
        "if True:",
        "tests/worker/test_sources.py"
        "::test_what_a_request_that_was_given_up_has_claimed_is_heard_of",
    ),
    Fault(
        "a worker that stops gives no run to others",
        f"{WORKER}/runs.py",
        "elif self._message == WORKER_STOPPED and self._is_rescheduled:",
        "elif False:",
        DRAIN,
    ),
    Fault(
        "a run that ends while its worker stops is given to others",
        f"{WORKER}/runs.py",
        "(self._is_killed or self._infrastructure_id is None)",
        "True",
        "tests/worker/test_runs.py::test_a_run_that_ends_while_its_worker_stops_has_ended",
    ),
    Fault(
        "a signal that is repeated breaks off a worker's end",
        f"{WORKER}/setup.py",
        "signal.signal(number, signal.SIG_IGN)",
        "signal.signal(number, signal.SIG_DFL)",
        DRAIN,
    ),
    Fault(
        "what is handed back is due by the worker's clock",
        f"{WORKER}/runs.py",
        "        await self._report(new_state(StateType.SCHEDULED, message))\n",
        """        import datetime

        state = new_state(StateType.SCHEDULED, message)
        state.state_details.scheduled_time = datetime.datetime.now(datetime.UTC)
        await self._report(state)
""",
        "tests/reliability/test_quick.py"
        "::test_no_lease_and_no_schedule_minds_the_clocks_of_workers",
    ),
    Fault(
        "what is started does not know its claim",
        f"{WORKER}/configuration.py",
        "    if claim:\n",
        "    if False:\n",
        "tests/worker/test_configuration.py::test_run_learns_its_id_claim_and_parameters",
    ),
    Fault(
        "lines are dropped when the API is down",
        f"{WORKER}/shipping.py",
        "if not is_passing(error):",
        "if True:",
        "tests/worker/test_shipping.py::test_lines_wait_for_an_api_that_is_down",
    ),
    Fault(
        "a refused line takes its batch with it",
        f"{WORKER}/shipping.py",
        "if is_about_a_line and len(batch) > 1:",
        "if False:",
        "tests/worker/test_shipping.py::test_line_that_the_api_refuses_takes_no_other_with_it",
    ),
    Fault(
        "lines may be stored twice",
        f"{WORKER}/shipping.py",
        "call = logs.create(batch, idempotency_key=str(uuid4()))",
        "call = logs.create(batch)",
        "tests/worker/test_shipping.py::test_lines_arrive_complete_and_in_order",
    ),
)
