"""Blocking HTTP/1.1 over the standard library: kept connections, proxies, TLS. Knows no call.

A library for it would cost each `terraform plan` and each command 70 ms of CPU more.
"""

import base64
import http.client
import select
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, quote, unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from forebay.answers import Answer, NoAnswer
from forebay.errors import ConfigurationError

if TYPE_CHECKING:
    import ssl

    from forebay.exchange import Ask
    from forebay.settings import ClientSettings

# Shorter than servers keep an idle connection, so that they are not the ones who close it.
IDLE_SECONDS = 5.0
MAX_IDLE = 20
ESCAPED_OR_LEGAL = "%/:@!$&'()*+,;=~?-._"  # of the base address's path, which users write


@dataclass(frozen=True)
class _Idle:
    connection: http.client.HTTPConnection
    since: float


class Transport:
    """Sends requests to one server; shared by all threads of a process."""

    def __init__(self, settings: "ClientSettings", headers: Mapping[str, str]) -> None:
        self._server = urlsplit(settings.api_url)
        self._headers = {**_credentials(self._server), **headers}
        self._proxy = _proxy(self._server)
        self._tls = tls_context(settings)
        if self._proxy is not None and self._tls is None:
            self._headers |= _proxy_headers(self._proxy)
        self._idle: list[_Idle] = []
        self._lock = threading.Lock()

    def close(self) -> None:
        """Close the connections that nobody uses."""
        with self._lock:
            idle, self._idle = self._idle, []
        for kept in idle:
            kept.connection.close()

    def send(self, ask: "Ask") -> Answer:
        """The server's answer, whatever its status; redirects too. Raises `NoAnswer`."""
        connection = self._kept()
        is_sent = False
        try:
            if connection is None:
                connection = self._connect(ask.timeout)
            connection.sock.settimeout(ask.timeout)
            is_sent = True
            headers: dict[str, str | bytes] = {**self._headers}
            headers |= {name.decode(): value for name, value in ask.headers}
            connection.request(ask.method, self._target(ask.url), ask.content, headers)
            response = connection.getresponse()
            content = response.read()
        except (OSError, http.client.HTTPException, UnicodeError) as error:
            if connection is not None:
                connection.close()
            raise NoAnswer(str(error) or type(error).__name__, was_sent=is_sent) from error
        found = {name.lower(): value for name, value in response.getheaders()}
        if response.will_close:
            connection.close()
        else:
            self._keep(connection)
        return Answer(response.status, found, content)

    def _kept(self) -> http.client.HTTPConnection | None:
        """The connection used last, if one is still open."""
        while True:
            with self._lock:
                if not self._idle:
                    return None
                kept = self._idle.pop()
            if time.monotonic() - kept.since < IDLE_SECONDS and not _is_readable(kept.connection):
                return kept.connection
            kept.connection.close()

    def _keep(self, connection: http.client.HTTPConnection) -> None:
        with self._lock:
            if len(self._idle) < MAX_IDLE:
                self._idle.append(_Idle(connection, time.monotonic()))
                return
        connection.close()

    def _connect(self, timeout: float) -> http.client.HTTPConnection:
        """An open connection to the server or to its proxy. Raises `OSError`."""
        host, port = self._server.hostname or "", self._server.port
        proxy = self._proxy
        made: http.client.HTTPConnection
        if self._tls is not None:
            near = (proxy.hostname or "", proxy.port or 80) if proxy else (host, port or 443)
            made = http.client.HTTPSConnection(*near, timeout=timeout, context=self._tls)
            if proxy:
                made.set_tunnel(host, port or 443, _proxy_headers(proxy))
        elif proxy:
            made = http.client.HTTPConnection(
                proxy.hostname or "", proxy.port or 80, timeout=timeout
            )
        else:
            made = http.client.HTTPConnection(host, port or 80, timeout=timeout)
        made.connect()
        return made

    def _target(self, url: str) -> str:
        """What the request line names: a path, or for a proxy the whole address."""
        parts = urlsplit(url)
        path = quote(parts.path, safe=ESCAPED_OR_LEGAL) + (
            f"?{parts.query}" if parts.query else ""
        )
        if self._proxy is None or self._tls is not None:
            return path
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{path}"


def _is_readable(connection: http.client.HTTPConnection) -> bool:
    """Whether something waits on an idle connection: that can only be its end."""
    if hasattr(select, "poll"):
        poll = select.poll()
        poll.register(connection.sock, select.POLLIN)
        return bool(poll.poll(0))
    return bool(select.select([connection.sock], [], [], 0)[0])


def tls_context(settings: "ClientSettings") -> "ssl.SSLContext | None":
    """What makes TLS, or None where none is used.

    Reading the system's certificates costs a short-lived process more than its requests, and
    redirects are not followed, so a plain address never leads to TLS.
    """
    if not settings.api_url.startswith("https://"):
        return None
    from forebay.tls import context

    return context(settings.tls)


def _proxy(server: SplitResult) -> SplitResult | None:
    """The proxy that the environment names for `server`. Raises `ConfigurationError`."""
    known = getproxies()
    address = known.get(server.scheme) or known.get("all")
    if not address or proxy_bypass(server.netloc.rpartition("@")[2]):
        return None
    proxy = urlsplit(address if "://" in address else f"http://{address}")
    try:
        is_usable = proxy.scheme == "http" and bool(proxy.hostname)
        _ = proxy.port  # reading it is what checks it
    except ValueError:
        is_usable = False
    if not is_usable:
        shown = proxy._replace(netloc=proxy.netloc.rpartition("@")[2]).geturl()
        raise ConfigurationError(
            f"The proxy {shown!r} of the environment (HTTP_PROXY, HTTPS_PROXY, ALL_PROXY) is not "
            "an address that begins with http://; set one that is, or name "
            f"{server.hostname} in NO_PROXY."
        )
    return proxy


def _proxy_headers(proxy: SplitResult) -> dict[str, str]:
    credentials = _credentials(proxy)
    return {"proxy-authorization": credentials["authorization"]} if credentials else {}


def _credentials(address: SplitResult) -> dict[str, str]:
    """The header of the user and password in an address, if it has them."""
    if address.username is None:
        return {}
    pair = f"{unquote(address.username)}:{unquote(address.password or '')}"
    return {"authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}
