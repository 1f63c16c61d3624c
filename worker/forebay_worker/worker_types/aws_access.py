"""Requests to AWS: credentials, clients, and what it refuses. Knows no run."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from functools import cache
from typing import Any

from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession, get_session
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,
    HTTPClientError,
    NoCredentialsError,
    NoRegionError,
)
from botocore.loaders import Loader, create_loader
from pydantic import BaseModel, Field, SecretStr

from forebay_worker.worker_types.cloud import CloudError

Json = dict[str, Any]

# botocore slows down by itself when it is throttled; what still fails is tried again later.
SETTINGS: Json = {
    "retries": {"mode": "adaptive", "total_max_attempts": 4},
    "connect_timeout": 10,
    "read_timeout": 30,
}
PASSING = (
    "Throttl",
    "TooManyRequests",
    "RequestLimitExceeded",
    "ServerException",
    "ServiceUnavailable",
    "InternalError",
    "InternalFailure",
    "ConflictException",
    "OperationAborted",
)
# ECS tells of a race for a family's next revision by this text only.
RACE = "Too many concurrent attempts"


class AwsClientParameters(BaseModel):
    """How AWS is reached, where that is not as usual."""

    api_version: str | None = None
    use_ssl: bool = True
    verify: bool | str | None = True
    verify_cert_path: str | None = None
    endpoint_url: str | None = None
    config: Json | None = None


class AwsCredentials(BaseModel):
    """Data of a block `aws-credentials`; what is absent comes from botocore's default chain."""

    aws_access_key_id: str | None = None
    aws_secret_access_key: SecretStr | None = None
    aws_session_token: SecretStr | None = None
    profile_name: str | None = None
    region_name: str | None = None
    aws_client_parameters: AwsClientParameters = Field(default_factory=AwsClientParameters)

    @property
    def key(self) -> str:
        """The same for the same credentials; holds them, so it is not to be shown."""
        return json.dumps(self.model_dump(), default=_plain, sort_keys=True)


class Aws:
    """AWS as one holder of credentials sees it. Clients are made when first asked."""

    def __init__(self, credentials: AwsCredentials) -> None:
        self._credentials = credentials
        self._session: AioSession = get_session()
        self._session.register_component("data_loader", _descriptions())
        if credentials.profile_name:
            self._session.set_config_variable("profile", credentials.profile_name)
        self._clients: dict[tuple[str, str | None], Any] = {}
        self._opened = AsyncExitStack()
        self._making = asyncio.Lock()

    async def ask(
        self, service: str, operation: str, *, region: str | None = None, **parameters: Any
    ) -> Json:
        """The answer of an operation. Raises `CloudError`."""
        with _failures_named():
            client = await self._client(service, region)
            answer: Json = await getattr(client, operation)(**parameters)
        return answer

    async def region(self, service: str) -> str:
        """The region in which a service is asked. Raises `CloudError`."""
        with _failures_named():
            name: str = (await self._client(service, None)).meta.region_name
        return name

    async def close(self) -> None:
        """Close all connections."""
        await self._opened.aclose()

    async def _client(self, service: str, region: str | None) -> Any:
        async with self._making:
            found = self._clients.get((service, region))
            if found is None:
                found = await self._opened.enter_async_context(
                    self._session.create_client(service, **self._options(region))
                )
                self._clients[service, region] = found
        return found

    def _options(self, region: str | None) -> Json:
        given, reached = self._credentials, self._credentials.aws_client_parameters
        options = {
            "region_name": region or given.region_name,
            "aws_access_key_id": given.aws_access_key_id,
            "aws_secret_access_key": _plain(given.aws_secret_access_key),
            "aws_session_token": _plain(given.aws_session_token),
            "api_version": reached.api_version,
            "endpoint_url": reached.endpoint_url,
            "verify": (reached.verify_cert_path or reached.verify) if reached.verify else False,
        }
        return {
            **{name: value for name, value in options.items() if value is not None},
            "use_ssl": reached.use_ssl,
            "config": AioConfig(**{**SETTINGS, **(reached.config or {})}),
        }


@cache
def _descriptions() -> Loader:
    """AWS's descriptions of its services: large, and the same for every account."""
    return create_loader()


@contextmanager
def _failures_named() -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        raise _refusal(error) from None
    except NoCredentialsError:
        raise CloudError(
            "no credentials were found; set aws_credentials in the pool, or AWS's own "
            "variables, profile or role where the worker runs"
        ) from None
    except NoRegionError:
        raise CloudError(
            "no region is set; name it in aws_credentials or in AWS_DEFAULT_REGION"
        ) from None
    except (BotoCoreError, ValueError, TypeError) as error:
        is_passing = isinstance(error, ConnectionError | HTTPClientError)
        raise CloudError(str(error).strip("."), is_passing=is_passing) from None


def _plain(secret: SecretStr | None) -> str | None:
    return secret.get_secret_value() if secret else None


def _refusal(error: ClientError) -> CloudError:
    told = error.response.get("Error", {})
    code, message = str(told.get("Code", "")), str(told.get("Message", "")).strip().rstrip(".")
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    is_passing = code.startswith(PASSING) or status >= 500 or RACE in message
    text = f"{message} ({code})" if message else code
    return CloudError(text or f"HTTP {status}", code, is_passing=is_passing)
