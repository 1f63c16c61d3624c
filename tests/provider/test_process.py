"""The provider as a process: the handshake, TLS, and how it ends."""

import base64
import json
import os
import signal
import ssl
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest

from forebay_provider import certificate, handshake
from forebay_provider.pb import tfplugin6_pb2 as pb
from tests.conftest import BIN

PROGRAM = BIN / "terraform-provider-forebay"
Start = Callable[..., "Started"]


@dataclass
class Started:
    """A provider that has said where it listens."""

    process: subprocess.Popen[bytes]
    fields: list[str]

    @property
    def target(self) -> str:
        return f"unix:{self.fields[3]}" if self.fields[2] == "unix" else self.fields[3]

    def channel(self) -> grpc.Channel:
        """A channel that trusts only the certificate of the handshake, as Terraform does."""
        if not self.fields[5]:
            return grpc.insecure_channel(self.target)
        encoded = self.fields[5]
        der = base64.b64decode(encoded + "=" * (-len(encoded) % 4))
        roots = ssl.DER_cert_to_PEM_cert(der).encode()
        options = [("grpc.ssl_target_name_override", "localhost")]
        return grpc.secure_channel(self.target, grpc.ssl_channel_credentials(roots), options)


def call(channel: grpc.Channel, method: str, request: bytes = b"") -> bytes:
    """The answer to one unary call, as bytes."""
    answer: bytes = channel.unary_unary(method)(request, timeout=20)
    return answer


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts providers as Terraform does, and ends those that are left."""
    running = []

    def begin(*arguments: str, **environment: str) -> Started:
        process = subprocess.Popen(
            [PROGRAM, *arguments],
            env={**os.environ, handshake.COOKIE_NAME: handshake.COOKIE, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        running.append(process)
        assert process.stdout is not None
        return Started(process, process.stdout.readline().decode().strip().split("|"))

    yield begin
    for process in running:
        process.kill()
        process.communicate()


@pytest.fixture
def with_tls() -> dict[str, str]:
    """The environment in which Terraform asks for TLS; the text of its certificate is not used."""
    return {"PLUGIN_CLIENT_CERT": certificate.make(time.time()).chain.decode()}


def test_without_the_cookie_it_explains_itself_and_ends() -> None:
    done = subprocess.run([PROGRAM], capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert done.stdout == ""
    assert "forebay provider install" in done.stderr


@pytest.mark.parametrize("option", ["--version", "--help"])
def test_human_options_answer_on_stdout(option: str) -> None:
    done = subprocess.run([PROGRAM, option], capture_output=True, text=True, check=False)

    assert done.returncode == 0
    assert "forebay" in done.stdout


def test_handshake_names_protocol_socket_and_certificate(
    start: Start, with_tls: dict[str, str]
) -> None:
    started = start(**with_tls)

    core, app, network, address, protocol, encoded = started.fields
    assert (core, app, network, protocol) == ("1", "6", "unix", "grpc")
    assert stat.S_IMODE(Path(address).parent.stat().st_mode) == 0o700
    assert not encoded.endswith("=") and len(encoded) > 50


def test_seventh_field_comes_only_when_asked_for(start: Start) -> None:
    assert start(PLUGIN_MULTIPLEX_GRPC="true").fields[6:] == ["false"]
    assert start().fields[6:] == []


def test_schema_is_served_over_tls(start: Start, with_tls: dict[str, str]) -> None:
    with start(**with_tls).channel() as channel:
        answer = call(channel, "/tfplugin6.Provider/GetProviderSchema")

    assert "forebay_work_pool" in pb.GetProviderSchema.Response.FromString(answer).resource_schemas


def test_message_above_the_usual_limit_of_grpc_is_taken(start: Start) -> None:
    config = pb.DynamicValue(msgpack=b"\xc1" + b"x" * 6_000_000)
    request = pb.ValidateResourceConfig.Request(type_name="forebay_work_pool", config=config)

    with start().channel() as channel:
        answer = call(
            channel, "/tfplugin6.Provider/ValidateResourceConfig", request.SerializeToString()
        )

    assert pb.ValidateResourceConfig.Response.FromString(answer).diagnostics


def test_client_that_trusts_another_certificate_is_not_served(
    start: Start, with_tls: dict[str, str]
) -> None:
    started = start(**with_tls)
    other = base64.b64encode(certificate.make(time.time()).der).decode().rstrip("=")
    started.fields[5] = other

    with started.channel() as channel, pytest.raises(grpc.RpcError) as caught:
        call(channel, "/tfplugin6.Provider/GetProviderSchema")

    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


def test_certificate_is_made_once_and_kept_for_the_user_alone(
    start: Start, with_tls: dict[str, str]
) -> None:
    first, second = start(**with_tls), start(**with_tls)

    kept = Path(os.environ["FOREBAY_HOME"], "provider", "certificate.json")
    assert first.fields[5] == second.fields[5]
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert stat.S_IMODE(kept.parent.stat().st_mode) == 0o700


def test_shutdown_ends_the_process_at_once_and_removes_the_socket(
    start: Start, with_tls: dict[str, str]
) -> None:
    started = start(**with_tls)
    with started.channel() as channel:
        call(channel, "/tfplugin6.Provider/GetProviderSchema")

        asked = time.monotonic()
        call(channel, "/plugin.GRPCController/Shutdown")
        started.process.wait(timeout=5)

    assert time.monotonic() - asked < 1
    assert started.process.returncode == 0
    assert not Path(started.fields[3]).parent.exists()


def test_streams_of_terraform_do_not_hold_threads(start: Start) -> None:
    with start().channel() as channel:
        stdio = channel.unary_stream("/plugin.GRPCStdio/StreamStdio")(b"", timeout=20)
        broker = channel.stream_stream("/plugin.GRPCBroker/StartStream")(iter(()), timeout=20)

        assert (list(stdio), list(broker)) == ([], [])


def test_stdout_holds_the_handshake_and_nothing_else(start: Start) -> None:
    started = start(TF_LOG="TRACE")
    with started.channel() as channel:
        call(channel, "/tfplugin6.Provider/GetProviderSchema")
        call(channel, "/plugin.GRPCController/Shutdown")

    rest, _ = started.process.communicate(timeout=5)

    assert rest == b""


def test_interrupt_does_not_end_it(start: Start) -> None:
    started = start()

    started.process.send_signal(signal.SIGINT)

    with started.channel() as channel:
        assert call(channel, "/tfplugin6.Provider/GetProviderSchema")


def test_end_of_the_parent_ends_it() -> None:
    parent = (
        "import subprocess\n"
        f"child = subprocess.Popen([{str(PROGRAM)!r}], stdout=subprocess.PIPE)\n"
        "print(child.stdout.readline().decode().split('|')[3])\n"
    )
    environment = {**os.environ, handshake.COOKIE_NAME: handshake.COOKIE}

    # Returns when nobody holds its stderr any more, that is when the provider has ended too.
    done = subprocess.run(
        [sys.executable, "-c", parent],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=20,
    )

    assert not Path(done.stdout.strip()).exists()


def test_path_too_long_for_a_socket_is_not_used(start: Start, tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 100)
    deep.mkdir()

    started = start(TMPDIR=str(deep), PLUGIN_UNIX_SOCKET_DIR=str(deep))

    assert not started.fields[3].startswith(str(deep))
    with started.channel() as channel:
        assert call(channel, "/tfplugin6.Provider/GetProviderSchema")


def test_debug_prints_the_variable_that_attaches_terraform(start: Start) -> None:
    started = start("--debug", **{handshake.COOKIE_NAME: ""})

    name, _, quoted = started.fields[0].partition("=")
    server = json.loads(quoted.strip("'"))[handshake.ADDRESS]
    assert name == "TF_REATTACH_PROVIDERS"
    assert (server["Protocol"], server["ProtocolVersion"]) == ("grpc", 6)
    assert server["Pid"] == started.process.pid
    with grpc.insecure_channel(f"unix:{server['Addr']['String']}") as channel:
        assert call(channel, "/tfplugin6.Provider/GetProviderSchema")


def test_failure_to_start_is_told_as_terraform_shows_it(start: Start) -> None:
    started = start(PLUGIN_UNIX_SOCKET_DIR="/nowhere")

    _, told = started.process.communicate(timeout=10)

    assert started.process.returncode == 1
    assert told.startswith(b"panic: the forebay provider could not serve")


WITHOUT_CALLS = """
import sys
from forebay_provider.dispatch import rpcs
from forebay_provider.servicer import Servicer
from forebay_provider import logs, serve
from forebay_provider.pb import tfplugin6_pb2 as pb
from forebay_provider.framework.codec import encode
from forebay_provider.framework.declarations import declaration
from forebay_provider.resources.work_pool import WorkPool

call = {rpc.name: rpc for rpc in rpcs(Servicer())}
kind = declaration(WorkPool).kind
values = dict.fromkeys(kind.attributes) | {"name": "a", "type": "process"}
config = encode(kind, values)
null = encode(kind, None)
call["GetProviderSchema"](b"")
call["ValidateProviderConfig"](b"")
call["ConfigureProvider"](b"")
request = pb.ValidateResourceConfig.Request(type_name="forebay_work_pool", config=config)
assert call["ValidateResourceConfig"](request.SerializeToString()) == b""
request = pb.PlanResourceChange.Request(
    type_name="forebay_work_pool", config=config, prior_state=null, proposed_new_state=config
)
answer = pb.PlanResourceChange.Response.FromString(
    call["PlanResourceChange"](request.SerializeToString())
)
assert answer.planned_state.msgpack and not answer.diagnostics
print(*sorted({name.partition(".")[0] for name in sys.modules}))
"""


def test_schema_validation_and_create_plan_import_no_heavy_library() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_CALLS], capture_output=True, text=True, check=True
    )

    imported = set(done.stdout.split())
    assert "forebay_provider" in imported
    assert not imported & {"httpx2", "pydantic", "pydantic_core", "cryptography", "typer", "rich"}
