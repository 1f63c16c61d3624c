"""Requests to Google Cloud's REST APIs: tokens, errors in the cloud's words, patience.

Knows no run. Of Google's libraries only the one that obtains tokens is used.
"""

import asyncio
import json
import os
import re
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import google.auth
import google.auth.credentials
import google.auth.exceptions
import google.auth.transport
import httpx2 as httpx
from google.oauth2 import service_account
from pydantic import BaseModel, Field, field_validator

from forebay_worker.base import StartFailed
from forebay_worker.proposals import backoff
from forebay_worker.worker_types.cloud import CloudError

Json = dict[str, Any]

SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)
TIMEOUT = httpx.Timeout(20.0)
PAUSES = (0.2, 0.5, 1.0, 2.0)  # seconds between looks at what takes a moment; the last goes on
# How long a request that was turned away is sent again: rates recover, quotas of machines do not.
THROTTLED_SECONDS = 60.0
QUOTA_SECONDS = 3.0
UNAUTHORIZED, FORBIDDEN, NOT_FOUND, CONFLICT = 401, 403, 404, 409
THROTTLED, UNAVAILABLE = 429, 503
PASSING = (0, 408, 429, 500, 502, 503, 504)
# Where google.rpc.Code is all that tells of a failure: the HTTP status that stands for it.
HTTP_STATUS = {3: 400, 5: 404, 6: 409, 7: 403, 8: 429, 9: 400, 14: 503, 16: 401}

# The hosts of the APIs; those of a region have it in their names. The variables are gcloud's, and
# what they say may contain `{region}` too.
ENDPOINTS = {
    "run": "https://{region}-run.googleapis.com",
    "aiplatform": "https://{region}-aiplatform.googleapis.com",
    "logging": "https://logging.googleapis.com",
}
OVERRIDES = "CLOUDSDK_API_ENDPOINT_OVERRIDES_"


class GcpCredentials(BaseModel):
    """A key of a service account, and the project that is worked in."""

    service_account_file: str | None = None
    service_account_info: Json | None = Field(default=None, repr=False)
    project: str | None = None

    @field_validator("service_account_info", mode="before")
    @classmethod
    def _read_text(cls, value: object) -> object:
        """The key may be given as the text of its file."""
        if not isinstance(value, str):
            return value
        try:
            return json.loads(value)
        except ValueError:
            raise ValueError("must be the JSON of a service account's key") from None


class GoogleError(CloudError):
    """The cloud refused, or did not answer; `status` is 0 then."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        quota: str | None = None,
        patience_seconds: float = 0.0,
        retry_after: float | None = None,
    ) -> None:
        is_spent = status == THROTTLED and patience_seconds == QUOTA_SECONDS
        super().__init__(message, str(status), is_passing=status in PASSING and not is_spent)
        self.status = status
        self.quota = quota  # the name of the one that is used up
        self.patience_seconds = patience_seconds  # in which the same request is sent again
        self.retry_after = retry_after

    @property
    def refusal(self) -> str:
        """The error as a sentence for a state's message."""
        told = str(self).strip().rstrip(".")
        if self.status == 0:
            return f"Google Cloud does not answer: {told}."
        if self.status == UNAUTHORIZED:
            return f"Google Cloud does not accept the credentials: {told}."
        if self.status == THROTTLED:
            return f"A quota of Google Cloud is used up ({self.quota or 'unnamed'}): {told}."
        return f"Google Cloud refuses: {told}."


class GoogleSession:
    """Requests under one identity, to one project."""

    def __init__(
        self,
        credentials: google.auth.credentials.Credentials,
        project: str,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.project = project
        self._credentials = credentials
        self._refreshing = asyncio.Lock()
        self._http = httpx.AsyncClient(timeout=TIMEOUT, transport=transport)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def send(
        self,
        method: str,
        url: str,
        query: Mapping[str, str] | None = None,
        body: Json | None = None,
    ) -> Json:
        """The answer. What was turned away undone, or may be done twice, is sent again for a while.

        Raises `GoogleError`.
        """
        began = time.monotonic()
        for pause in backoff():
            try:
                return await self._send_once(method, url, query, body)
            except GoogleError as error:
                pause = max(pause, error.retry_after or 0.0)
                if time.monotonic() + pause > began + error.patience_seconds:
                    raise
            await asyncio.sleep(pause)
        raise AssertionError("backoff has no end")

    async def finished(self, url: str, operation: Json) -> None:
        """Return when a long-running operation has ended well; `url` is where it is read.

        Raises `GoogleError`.
        """
        pauses = iter(PAUSES)
        while not operation.get("done"):
            await asyncio.sleep(next(pauses, PAUSES[-1]))
            operation = await self.send("GET", url)
        if failure := operation.get("error"):
            raise _told(HTTP_STATUS.get(failure.get("code"), 500), failure)

    async def _send_once(
        self, method: str, url: str, query: Mapping[str, str] | None, body: Json | None
    ) -> Json:
        headers = {"authorization": f"Bearer {await self._token()}"}
        try:
            answer = await self._http.request(
                method, url, params=query, json=body, headers=headers
            )
        except httpx.HTTPError as error:
            raise GoogleError(0, f"no answer ({error or type(error).__name__})") from None
        if answer.status_code == UNAUTHORIZED:
            self._credentials.token = None  # the next request asks for another one
        try:
            told = answer.json() if answer.content else {}
        except ValueError:
            told = {}
        if answer.is_success and isinstance(told, dict):
            return told
        described = told.get("error") if isinstance(told, dict) else None
        if not isinstance(described, dict):
            described = {}
        raised = _told(answer.status_code, described, answer.headers.get("retry-after"))
        if method == "POST" and raised.status == UNAVAILABLE:
            raised.patience_seconds = 0.0  # it may have been done; only the asker can find out
        raise raised

    async def _token(self) -> str:
        """A token that is valid for some minutes. Raises `GoogleError`."""
        async with self._refreshing:
            if not self._credentials.valid:
                await asyncio.to_thread(self._refresh)
            return str(self._credentials.token)

    def _refresh(self) -> None:
        try:
            with httpx.Client(timeout=TIMEOUT) as client:
                self._credentials.refresh(_TokenRequest(client))
        except google.auth.exceptions.GoogleAuthError as error:
            status = (
                0 if isinstance(error, google.auth.exceptions.TransportError) else UNAUTHORIZED
            )
            raise GoogleError(status, _first_line(error)) from None
        except ValueError as error:  # a key that is none
            raise GoogleError(UNAUTHORIZED, str(error)) from None


def open_session(given: GcpCredentials | None) -> GoogleSession:
    """A session under the credentials given, else under the surroundings' own. It reads files.

    Raises `StartFailed`.
    """
    found: str | None
    try:
        if given and given.service_account_info:
            credentials = service_account.Credentials.from_service_account_info(
                given.service_account_info, scopes=SCOPES
            )
            found = credentials.project_id
        elif given and given.service_account_file:
            credentials = service_account.Credentials.from_service_account_file(
                os.path.expanduser(given.service_account_file), scopes=SCOPES
            )
            found = credentials.project_id
        else:
            credentials, found = google.auth.default(scopes=SCOPES)
    except (google.auth.exceptions.GoogleAuthError, ValueError, OSError) as error:
        raise StartFailed(
            f"There are no usable Google credentials: {_first_line(error)}"
        ) from None
    project = (given.project if given else None) or found
    if not project:
        raise StartFailed(
            "The Google credentials name no project: set `project` in them, or "
            "GOOGLE_CLOUD_PROJECT for the worker."
        )
    return GoogleSession(credentials, project)


def endpoint(api: str, region: str = "") -> str:
    """The address of an API, in a region."""
    template = os.environ.get(OVERRIDES + api.upper()) or ENDPOINTS[api]
    return template.replace("{region}", region).rstrip("/")


def moment(text: str) -> datetime:
    """A time of Google's, to the microsecond."""
    head, _, fraction = text.rstrip("Z").partition(".")
    return datetime.fromisoformat(f"{head}.{fraction[:6]:0<6}").replace(tzinfo=UTC)


class _TokenRequest(google.auth.transport.Request):
    """How google-auth asks for tokens here."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client

    def __call__(
        self,
        url: str,
        method: str = "GET",
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
        **_: Any,
    ) -> "_TokenAnswer":
        try:
            answer = self._client.request(method, url, content=body, headers=headers)
        except httpx.HTTPError as error:
            raise google.auth.exceptions.TransportError(str(error)) from error
        return _TokenAnswer(answer)


class _TokenAnswer(google.auth.transport.Response):
    def __init__(self, answer: httpx.Response) -> None:
        self._answer = answer

    @property
    def status(self) -> int:
        return self._answer.status_code

    @property
    def headers(self) -> Mapping[str, str]:
        return self._answer.headers

    @property
    def data(self) -> bytes:
        return self._answer.content


def _told(status: int, error: Mapping[str, Any], retry_after: str | None = None) -> GoogleError:
    """An error as google.rpc.Status describes it."""
    message = str(error.get("message") or error.get("status") or f"HTTP {status}").strip()
    details = [detail for detail in error.get("details", ()) if isinstance(detail, Mapping)]
    quota = _quota(details) if status == THROTTLED else None
    seconds = float(retry_after) if retry_after and retry_after.isdigit() else None
    patience = 0.0
    if status == UNAVAILABLE:
        patience = THROTTLED_SECONDS
    elif status == THROTTLED:
        is_rate = seconds is not None or any(
            detail.get("reason") == "RATE_LIMIT_EXCEEDED" for detail in details
        )
        patience = THROTTLED_SECONDS if is_rate else QUOTA_SECONDS
    return GoogleError(
        status, message, quota=quota, patience_seconds=patience, retry_after=seconds
    )


def _quota(details: list[Mapping[str, Any]]) -> str | None:
    """The quota that error details name, with its limit where they tell it."""
    for detail in details:
        metadata = detail.get("metadata", {})
        if metric := metadata.get("quota_metric"):
            limit = metadata.get("quota_limit_value")
            return f"{metric}, limit {limit}" if limit else str(metric)
        for violation in detail.get("violations", ()):
            if subject := violation.get("subject") or violation.get("description"):
                return str(subject)
    return None


def _first_line(error: Exception) -> str:
    """What an error of google-auth says, without the answer that it repeats behind it."""
    told = error.args[0] if error.args and isinstance(error.args[0], str) else str(error)
    return re.sub(r"\s+", " ", told).strip()
