"""Requests to Azure's resource manager: tokens, long-running operations, refusals. Knows no run."""

import asyncio
import json
import os
import time
from collections.abc import Mapping
from typing import Any

import httpx2 as httpx
from azure.core.exceptions import AzureError, ServiceRequestError
from azure.identity import ClientSecretCredential, DefaultAzureCredential
from pydantic import BaseModel, Field, SecretStr, model_validator

from forebay_worker.worker_types.cloud import CloudError

Json = dict[str, Any]

# Where it is in another cloud than the public one, such as https://management.chinacloudapi.cn.
ADDRESS_VARIABLE = "FOREBAY_AZURE_RESOURCE_MANAGER"
ADDRESS = "https://management.azure.com"
TIMEOUT = httpx.Timeout(30.0)
RENEW_SECONDS = 300.0  # before a token ends, another one is taken
POLL_SECONDS = 2.0  # between looks at an operation, where Azure does not say
MAX_RETRY_AFTER_SECONDS = 30.0
TRIES = 3  # of a request that Azure wants to be sent again later
NOT_FOUND = ("ResourceNotFound", "DeploymentNotFound", "ResourceGroupNotFound", "404")
OVER = ("Succeeded", "Failed", "Canceled")
PASSING = (408, 429, 500, 502, 503, 504)


class AzureCredentials(BaseModel):
    """Data of a block `azure-container-instance-credentials`; else azure-identity's own chain."""

    client_id: str | None = None
    tenant_id: str | None = None
    client_secret: SecretStr | None = None
    credential_kwargs: Json = Field(default_factory=dict)

    @model_validator(mode="after")
    def _whole(self) -> "AzureCredentials":
        given = (self.client_id, self.tenant_id, self.client_secret)
        if any(given) and not all(given):
            raise ValueError("client_id, tenant_id and client_secret must be given together")
        return self

    @property
    def key(self) -> str:
        """The same for the same credentials; holds them, so it is not to be shown."""
        plain = self.client_secret.get_secret_value() if self.client_secret else None
        return json.dumps([self.model_dump(mode="json"), plain], sort_keys=True)


class AzureManager:
    """The resource manager as one holder of credentials sees it."""

    def __init__(self, credentials: AzureCredentials) -> None:
        self._credentials = credentials
        self._credential: ClientSecretCredential | DefaultAzureCredential | None = None
        self._address = os.environ.get(ADDRESS_VARIABLE, ADDRESS).rstrip("/")
        self._http = httpx.AsyncClient(base_url=self._address, timeout=TIMEOUT)
        self._token = ""
        self._token_ends_at = 0.0
        self._renewing = asyncio.Lock()

    async def read(self, path: str, version: str, **query: str) -> Json | None:
        """What is at a path; none when there is nothing. Raises `CloudError`."""
        try:
            answer = await self._send("GET", path, params={"api-version": version, **query})
        except CloudError as error:
            if error.code in NOT_FOUND:
                return None
            raise
        found: Json = answer.json()
        return found

    async def send(
        self, method: str, path: str, version: str, body: Json | None = None
    ) -> httpx.Response:
        """The answer. Raises `CloudError`."""
        return await self._send(method, path, params={"api-version": version}, json=body)

    async def follow(self, url: str) -> tuple[Json, float]:
        """How an operation stands, and the seconds until the next look. Raises `CloudError`."""
        answer = await self._send("GET", url)
        found = answer.json() if answer.content else {}
        # One kind of address tells a status, the other kind only whether it is over.
        found.setdefault("status", "Running" if answer.status_code == 202 else "Succeeded")
        return found, _retry_after(answer, POLL_SECONDS)

    async def finish(self, answer: httpx.Response) -> None:
        """Return when the operation that an answer began is over. Raises `CloudError`."""
        url = operation_url(answer)
        seconds = _retry_after(answer, POLL_SECONDS)
        while url and answer.status_code in (201, 202):
            await asyncio.sleep(seconds)
            found, seconds = await self.follow(url)
            state = progress(found)
            if state in ("Failed", "Canceled"):
                raise CloudError(explained(found.get("error") or {}) or state)
            if state == "Succeeded":
                return

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()
        if self._credential is not None:
            await asyncio.to_thread(self._credential.close)

    async def _send(self, method: str, url: str, **options: Any) -> httpx.Response:
        for tries_left in reversed(range(TRIES)):
            headers = {"Authorization": f"Bearer {await self._valid_token()}"}
            try:
                answer = await self._http.request(method, url, headers=headers, **options)
            except httpx.HTTPError as error:
                told = str(error) or type(error).__name__
                raise CloudError(f"no answer ({told})", is_passing=True) from None
            if answer.is_success:
                return answer
            if answer.status_code == 401 and tries_left == TRIES - 1:
                # The credential would give the same token again, which it remembers.
                self._credential, self._token_ends_at = None, 0.0
                continue
            wait = _retry_after(answer, -1) if answer.status_code in (429, 503) else -1
            if wait < 0 or not tries_left:
                raise _refusal(answer)
            await asyncio.sleep(wait)
        raise AssertionError("the last try raises")

    async def _valid_token(self) -> str:
        async with self._renewing:
            if time.time() > self._token_ends_at - RENEW_SECONDS:
                try:
                    found = await asyncio.to_thread(self._take_token)
                except ServiceRequestError as error:
                    raise CloudError(_first_line(error), is_passing=True) from None
                except (AzureError, ValueError, TypeError) as error:
                    raise CloudError(
                        f"no token was given: {_first_line(error)}", "NoToken"
                    ) from None
                self._token, self._token_ends_at = found
        return self._token

    def _take_token(self) -> tuple[str, float]:
        """A token and when it ends. azure-identity's own asynchronous way needs aiohttp."""
        if self._credential is None:
            given = self._credentials
            if given.client_id and given.tenant_id and given.client_secret:
                self._credential = ClientSecretCredential(
                    given.tenant_id,
                    given.client_id,
                    given.client_secret.get_secret_value(),
                    **given.credential_kwargs,
                )
            else:
                self._credential = DefaultAzureCredential(**given.credential_kwargs)
        token = self._credential.get_token(f"{self._address}/.default")
        return token.token, float(token.expires_on)


def operation_url(answer: httpx.Response) -> str | None:
    """Where an operation that an answer began can be followed."""
    found: str | None = answer.headers.get("azure-asyncoperation") or answer.headers.get(
        "location"
    )
    return found


def progress(operation: Mapping[str, Any]) -> str:
    """`Succeeded`, `Failed`, `Canceled`, or what else an operation or a resource is at."""
    properties = operation.get("properties") or {}
    return str(operation.get("status") or properties.get("provisioningState") or "")


def explained(error: Mapping[str, Any]) -> str:
    """What went wrong, from the innermost of nested errors, with Azure's name for it."""
    inner = _innermost(error)
    code, message = str(inner.get("code") or ""), str(inner.get("message") or "")
    message = " ".join(message.split()).rstrip(".")
    text = f"{message} ({code})" if message and code else message or code
    return f"a quota of the subscription is used up: {text}" if "quota" in code.lower() else text


def _innermost(error: Mapping[str, Any]) -> Mapping[str, Any]:
    details = error.get("details")
    if isinstance(details, list) and details and isinstance(details[0], Mapping):
        return _innermost(details[0])
    try:  # deployments wrap a resource's error as text
        wrapped = json.loads(str(error.get("message")))
    except ValueError:
        return error
    if isinstance(wrapped, Mapping):
        found = wrapped.get("error", wrapped)
        return _innermost(found) if isinstance(found, Mapping) else error
    return error


def _refusal(answer: httpx.Response) -> CloudError:
    try:
        found = answer.json()
    except ValueError:
        found = {}
    error = found.get("error") if isinstance(found, dict) else None
    error = error if isinstance(error, Mapping) else {}
    code = str(error.get("code") or answer.status_code)
    is_quota = "quota" in str(_innermost(error).get("code")).lower()
    is_passing = answer.status_code in PASSING and not is_quota
    text = explained(error) or f"HTTP {answer.status_code}"
    return CloudError(text, code, is_passing=is_passing)


def _retry_after(answer: httpx.Response, default: float) -> float:
    text = answer.headers.get("retry-after", "")
    return min(float(text), MAX_RETRY_AFTER_SECONDS) if text.isdigit() else default


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".:")
