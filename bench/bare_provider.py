"""The least that a Terraform provider in Python can be: grpcio, and protobuf written by hand.

It keeps one type, `bare_pool`, in the state alone and does nothing else. What a real provider costs beyond it is
that provider's own; `provider_start.py` measures that. Like any plain provider it makes a
certificate at every start.
"""

import base64
import os
import queue
import signal
import sys
import tempfile
from concurrent import futures
from datetime import UTC, datetime, timedelta

import grpc
import ormsgpack
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

COOKIE = "d602bf8f470bc67ca7faa0386276bbdd4330efaf76d1a219cb4d6991ca9872b2"


def varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def field(number: int, value: bytes | str | bool) -> bytes:
    """One protobuf field: a bool as varint, anything else with its length."""
    if isinstance(value, bool):
        return varint(number << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def fields(message: bytes) -> dict[int, bytes]:
    """The last value of each field that has a length; varints are skipped."""
    found, at = {}, 0

    def number() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(message):
        tag = number()
        size = number()
        if tag & 7 == 2:
            found[tag >> 3] = message[at : at + size]
            at += size
    return found


def attribute(name: str, flag: int) -> bytes:
    return field(2, field(1, name) + field(2, '"string"') + field(flag, True))


REQUIRED, COMPUTED = 4, 6
POOL = field(2, attribute("id", COMPUTED) + attribute("name", REQUIRED))


def schema(_request: bytes) -> bytes:
    capabilities = field(1, True) + field(2, True)
    types = field(1, "bare_pool") + field(2, POOL)
    return field(1, field(2, b"")) + field(2, types) + field(6, capabilities)


def value(message: bytes) -> dict[str, object] | None:
    """The object in a DynamicValue; what is unknown in it is None."""
    found: dict[str, object] | None = ormsgpack.unpackb(
        fields(message)[1], ext_hook=lambda _code, _data: None
    )
    return found


def upgrade(request: bytes) -> bytes:
    stored = fields(fields(request)[3])[1]
    return field(1, field(2, stored))  # as JSON, as it came


def read(request: bytes) -> bytes:
    return field(1, fields(request)[2])


def plan(request: bytes) -> bytes:
    asked = fields(request)
    if value(asked[2]) is not None:
        return field(1, asked[3])
    planned = {**(value(asked[3]) or {}), "id": ormsgpack.Ext(0, b"\0")}
    return field(1, field(1, ormsgpack.packb(planned)))


def apply(request: bytes) -> bytes:
    made = {**(value(fields(request)[3]) or {}), "id": "1"}
    return field(1, field(1, ormsgpack.packb(made)))


def nothing(_request: bytes) -> bytes:
    return b""


RPCS = {
    "GetProviderSchema": schema,
    "ValidateProviderConfig": nothing,
    "ConfigureProvider": nothing,
    "ValidateResourceConfig": nothing,
    "UpgradeResourceState": upgrade,
    "ReadResource": read,
    "PlanResourceChange": plan,
    "ApplyResourceChange": apply,
}


def certificate() -> tuple[bytes, bytes, bytes]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), False)
        .sign(key, hashes.SHA256())
    )
    encoding = serialization.Encoding
    private = key.private_bytes(
        encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return private, made.public_bytes(encoding.PEM), made.public_bytes(encoding.DER)


def main() -> None:
    if os.environ.get("TF_PLUGIN_MAGIC_COOKIE") != COOKIE:
        sys.exit("Terraform starts this program.")
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    done: queue.SimpleQueue[None] = queue.SimpleQueue()

    def shutdown(_request: bytes) -> bytes:
        done.put(None)
        return b""

    server = grpc.server(futures.ThreadPoolExecutor(16))
    for service, methods in (
        ("tfplugin6.Provider", RPCS),
        ("plugin.GRPCController", {"Shutdown": shutdown}),
    ):
        handlers = {
            name: grpc.unary_unary_rpc_method_handler(
                lambda request, _, answer=answer: answer(request)
            )
            for name, answer in methods.items()
        }
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
    key, chain, der = certificate()
    with tempfile.TemporaryDirectory() as folder:
        address = f"{folder}/s"
        server.add_secure_port(f"unix:{address}", grpc.ssl_server_credentials([(key, chain)]))
        server.start()
        encoded = base64.b64encode(der).decode().rstrip("=")
        print(f"1|6|unix|{address}|grpc|{encoded}", flush=True)
        done.get()
        server.stop(0.2).wait()
    os._exit(0)


main()
