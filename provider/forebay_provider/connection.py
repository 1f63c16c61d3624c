"""What resources talk to the API through: how much at once, and how it ends. Knows no resource."""

import threading
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from forebay.errors import ForebayError, Interrupted
from forebay.settings import ClientSettings
from forebay_provider import rows
from forebay_provider.reads import BulkReads
from forebay_provider.rows import Row

if TYPE_CHECKING:
    from forebay.calls import Call
    from forebay.client import Client

T = TypeVar("T")
PlanChecks = Literal["error", "warn", "off"]

# Terraform waits for what is in flight when the user interrupts it, and the user for Terraform.
SECONDS_AFTER_STOP = 10.0


@dataclass(frozen=True)
class ProviderSettings:
    """What the provider block says beyond the client's own settings."""

    client: ClientSettings = field(default_factory=ClientSettings)
    max_concurrent_requests: int = 8
    reads_in_bulk: bool = True
    plan_checks: PlanChecks = "error"
    expected_server_id: str | None = None


class Connection:
    """Sends calls with the provider's settings; made unknown, it refuses to send any."""

    def __init__(
        self, settings: ProviderSettings | None, user_agent: str, unknown: str = ""
    ) -> None:
        self.unknown = unknown  # the argument that is not decided yet, if one is
        self.plan_checks: PlanChecks = settings.plan_checks if settings else "off"
        self.expected_server_id = settings.expected_server_id if settings else None
        self.is_target_checked = False  # whether the server has told that it is that one
        self.api_url = settings.client.api_url if settings else ""
        # The templates that pools will have, by the pools' names, as far as they were planned.
        self.planned_templates: dict[str, str] = {}
        self._reads = BulkReads(self._send) if settings and settings.reads_in_bulk else None
        self._settings = settings
        self._user_agent = user_agent
        self._client: Client | None = None
        self._lock = threading.Lock()
        self._in_flight: set[Future[Any]] = set()
        self._is_stopped = False
        self._slots = threading.BoundedSemaphore(
            settings.max_concurrent_requests if settings else 1
        )

    def send(self, call: "Call[T]") -> T:
        """The call's answer. Raises `ForebayError`."""
        reads = self._reads
        return reads.read(call) if reads is not None and call.method == "GET" else self._send(call)

    def row(self, call: "Call[Any]") -> Row:
        """The object that the API answers, as a row. Raises `ForebayError`."""
        if self._reads is not None and call.method == "GET":
            return self._reads.row(call)
        return self._send(rows.of_object(call))

    def begin_changes(self) -> None:
        """From now on answer every read anew: what was read in bulk may be old."""
        self._reads = None

    def _send(self, call: "Call[T]") -> T:
        with self._slots:
            client = self._open()
            answer: Future[T] = Future()
            with self._lock:
                if self._is_stopped:
                    raise Interrupted
                self._in_flight.add(answer)
            # In a thread of its own: a request in flight cannot be taken back, only left alone.
            threading.Thread(target=_answer, args=(client, call, answer), daemon=True).start()
            try:
                return answer.result()
            finally:
                with self._lock:
                    self._in_flight.discard(answer)

    def stop(self) -> None:
        """Send nothing new; what is in flight has some seconds to end."""
        with self._lock:
            self._is_stopped = True
            client = self._client
        if client is not None:
            client.stop()
        timer = threading.Timer(SECONDS_AFTER_STOP, self._abandon)
        timer.daemon = True
        timer.start()

    def _abandon(self) -> None:
        error = ForebayError(
            "Terraform was interrupted, and the server did not answer in time. Whether it carried "
            "the request out is not known; the next plan tells."
        )
        with self._lock:
            for answer in self._in_flight:
                with suppress(Exception):  # it has just been answered
                    answer.set_exception(error)

    def _open(self) -> "Client":
        if self._settings is None:
            raise ForebayError(
                f"The provider's {self.unknown} is not known yet, so there is no server to ask. "
                "Apply first, with -target, what it depends on."
            )
        with self._lock:
            if self._client is None:
                from forebay.client import Client

                self._client = Client(self._settings.client, self._user_agent)
            return self._client


def _answer(client: "Client", call: "Call[T]", answer: "Future[T]") -> None:
    try:
        found = client.send(call)
    except BaseException as error:  # noqa: BLE001 - raised again where the answer is waited for
        with suppress(Exception):  # nobody waits any more
            answer.set_exception(error)
    else:
        with suppress(Exception):
            answer.set_result(found)
