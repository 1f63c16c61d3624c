"""HTTP for asyncio, by the library that has it. Knows no call."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import httpx2 as httpx

from forebay.answers import Answer, NoAnswer
from forebay.transport import tls_context

if TYPE_CHECKING:
    from forebay.exchange import Ask
    from forebay.settings import ClientSettings

NOTHING_WAS_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


class AsyncTransport:
    """Sends requests to one server; shared by all tasks of a loop."""

    def __init__(self, settings: "ClientSettings", headers: Mapping[str, str]) -> None:
        verify = tls_context(settings)
        self._http = httpx.AsyncClient(headers=headers, verify=False if verify is None else verify)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def send(self, ask: "Ask") -> Answer:
        """The server's answer, whatever its status; redirects too. Raises `NoAnswer`."""
        try:
            response = await self._http.request(**vars(ask))
        except httpx.TransportError as error:
            was_sent = not isinstance(error, NOTHING_WAS_SENT)
            raise NoAnswer(str(error) or type(error).__name__, was_sent=was_sent) from error
        headers = {name.lower(): value for name, value in response.headers.items()}
        return Answer(response.status_code, headers, response.content)
