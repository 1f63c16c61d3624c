"""Malformed messages to the provider's process, as Terraform could send them in its worst hour.

    python -m tests.reliability.fuzz_provider [--messages 5000] [--seed 1]

Every message must be answered, malformed ones with a diagnostic, and the process must neither end
nor hang. A failure is printed with the seed and the number that repeat it.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import grpc
import ormsgpack
from google.protobuf.message import DecodeError

from forebay_provider import handshake
from forebay_provider.dispatch import SERVICE, Rpc, rpcs
from forebay_provider.framework.declarations import declaration
from forebay_provider.framework.kinds import Kind
from forebay_provider.pb import tfplugin6_pb2 as pb
from forebay_provider.provider_block import ProviderConfig
from forebay_provider.servicer import Servicer

SECONDS_PER_MESSAGE = 30.0
NOWHERE = "http://127.0.0.1:9/api"  # nothing listens there, so that every request fails at once
HUGE = 64 * 1024 * 1024
UNKNOWN = ormsgpack.Ext(0, b"\0")
REFINED = ormsgpack.Ext(12, b"\x82\x01\xc2\x02\xa4pre-")
TEXTS = ["", "etl", "é" * 300, "a/b", "..", "\x00", "{}", "[1]", '{"a": {{ b }}', "5m", "1e999"]
ODDITIES: list[Any] = [None, UNKNOWN, REFINED, True, -1, 2**63, 1.5, float("nan"), b"\xff", [], {},
                       {"": None}, {1: 2}, [[]], [b'"string"', "x"], [b'["list"', 1]]  # fmt: skip
PACKED = [b"", b"\xc1", b"\xd9\xff", b"\xdf\xff\xff\xff\xff", b"\xd4\x00\x00", b"\xa1\xff",
          b"\x91" * 10_000, b"\x81\xa1a" * 10_000, b"\xc7\xff\x0c"]  # fmt: skip
JSON = [
    b"",
    b"{",
    b"null",
    b"[]",
    b'{"id": 1}',
    b'{"id": "\\ud800"}',
    b"[" * 10_000,
    b"\xff",
    b"1e9999",
]


@dataclass
class Outcome:
    """What became of the messages."""

    sent: Counter[str] = field(default_factory=Counter)
    with_diagnostic: int = 0
    faults: list[str] = field(default_factory=list)


class Fuzzer:
    """Makes messages from a seed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.servicer = Servicer()
        self.rpcs = rpcs(self.servicer)
        self.answered = [r for r in self.rpcs if hasattr(self.servicer, r.name)]

    def message(self) -> tuple[Rpc, bytes, bool]:
        """A method, the bytes to send to it and whether they are malformed for certain."""
        rpc = self.random.choice(self.answered if self.random.random() < 0.9 else self.rpcs)
        request = self._filled(rpc)
        data: bytes = request.SerializeToString()
        if self.random.random() < 0.2:
            data = self._damaged(data)
        try:
            rpc.request.FromString(data)
        except DecodeError:
            return rpc, data, True
        return rpc, data, False

    def configuration(self) -> tuple[Rpc, bytes, bool]:
        """A whole configuration, so that messages about objects come as far as they can."""
        rpc = next(r for r in self.rpcs if r.name == "ConfigureProvider")
        names = declaration(ProviderConfig).kind.attributes
        retry = {"max_attempts": 0, "wait_min": None, "wait_max": None, "status_codes": None}
        config = ormsgpack.packb({**dict.fromkeys(names), "endpoint": NOWHERE, "retry": retry})
        request = rpc.request(config=pb.DynamicValue(msgpack=config))
        return rpc, request.SerializeToString(), False

    def huge(self) -> tuple[Rpc, bytes, bool]:
        """A message as large as one can be that Terraform would send, and of no use."""
        rpc = next(r for r in self.rpcs if r.name == "ValidateResourceConfig")
        config = pb.DynamicValue(msgpack=b"\xc1" + b"x" * HUGE)
        request = rpc.request(type_name="forebay_work_pool", config=config)
        return rpc, request.SerializeToString(), True

    def _filled(self, rpc: Rpc) -> Any:
        """A request with most of its fields set to something."""
        made = rpc.request()
        types: dict[str, Any] = self.servicer.resources
        if "List" in rpc.name:
            types = self.servicer.lists
        elif "Data" in rpc.name:
            types = self.servicer.data_sources
        name = self.random.choice([*types]) if self.random.random() < 0.97 else "forebay_nothing"
        is_about_provider = "Provider" in rpc.name or name not in types
        model = ProviderConfig if is_about_provider else types[name].model
        for item in made.DESCRIPTOR.fields:
            if self.random.random() > 0.05 and not item.containing_oneof:
                with suppress(TypeError, ValueError, AttributeError):
                    self._fill(made, item, name, declaration(model).kind)
        return made

    def _fill(self, made: Any, item: Any, name: str, kind: Kind) -> None:
        choose = self.random.choice
        if item.message_type is not None and item.message_type.name == "DynamicValue":
            value = self._dynamic_value(kind)
            target = getattr(made, item.name)
            if item.is_repeated if hasattr(item, "is_repeated") else item.label == 3:
                target.extend([value] * self.random.randint(0, 3))
            else:
                target.CopyFrom(value)
        elif item.message_type is not None and item.message_type.name == "RawState":
            getattr(made, item.name).CopyFrom(pb.RawState(json=choose(JSON)))
        elif item.message_type is not None and item.message_type.name == "ResourceIdentityData":
            value = pb.ResourceIdentityData(identity_data=self._dynamic_value(kind))
            getattr(made, item.name).CopyFrom(value)
        elif item.name in ("type_name", "target_type_name"):
            setattr(made, item.name, name)
        elif item.name == "name":
            made.name = choose([*self.servicer.functions, "nothing"])
        elif item.type == item.TYPE_STRING:
            setattr(made, item.name, choose(TEXTS))
        elif item.type == item.TYPE_BYTES:
            setattr(made, item.name, choose(JSON))
        else:
            setattr(made, item.name, choose([0, 1, -1, 2**62]))

    def _dynamic_value(self, kind: Kind) -> pb.DynamicValue:
        if self.random.random() < 0.05:
            return pb.DynamicValue(msgpack=self.random.choice(PACKED))
        if self.random.random() < 0.05:
            return pb.DynamicValue(json=self.random.choice(JSON))
        packed = ormsgpack.packb(self._value(kind), option=ormsgpack.OPT_NON_STR_KEYS)
        return pb.DynamicValue(
            msgpack=self._damaged(packed) if self.random.random() < 0.1 else packed
        )

    def _value(self, kind: Kind, depth: int = 0) -> Any:
        """A value that a type allows, mostly."""
        if self.random.random() < (0.2 if depth else 0.03):
            return self.random.choice(ODDITIES[:3] if self.random.random() < 0.9 else ODDITIES)
        match kind.constraint():
            case "string":
                return self.random.choice(TEXTS)
            case "bool":
                return self.random.random() < 0.5
            case "number":
                return self.random.choice([0, 1, -1, 1.5, "0.1", "1e5", "x", 2**40])
            case ["object", attributes]:
                inner = kind.attributes  # type: ignore[attr-defined]
                return {key: self._value(inner[key], depth + 1) for key in attributes}
            case ["map", _]:
                return {"k": self._value(kind.element, depth + 1)}  # type: ignore[attr-defined]
            case ["list" | "set", _]:
                return [self._value(kind.element, depth + 1)]  # type: ignore[attr-defined]
        return [b'"string"', self.random.choice(TEXTS)]

    def _damaged(self, data: bytes) -> bytes:
        """`data` with some bytes changed, lost, doubled or put in."""
        changed = bytearray(data)
        for _ in range(self.random.randint(1, 4)):
            at = self.random.randint(0, len(changed))
            match self.random.randint(0, 3):
                case 0 if at < len(changed):
                    changed[at] = self.random.randint(0, 255)
                case 1:
                    del changed[at:]
                case 2:
                    changed[at:at] = changed[max(0, at - 8) : at]
                case _:
                    changed[at:at] = self.random.randbytes(self.random.randint(1, 8))
        return bytes(changed)


def run(messages: int, seed: int, huge_every: int = 2500) -> Outcome:
    """Send so many messages to a process of its own."""
    fuzzer, outcome = Fuzzer(seed), Outcome()
    with TemporaryDirectory() as home:
        environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith(("PREFECT_", "TF_"))},
            handshake.COOKIE_NAME: handshake.COOKIE,
            "FOREBAY_HOME": home,
            "FOREBAY_API_URL": NOWHERE,
        }
        program = Path(sys.executable).with_name("terraform-provider-forebay")
        with subprocess.Popen([program], env=environment, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            address = process.stdout.readline().decode().split("|")[3]
            options = [("grpc.max_send_message_length", -1)]
            with grpc.insecure_channel(f"unix:{address}", options) as channel:
                for number in range(1, messages + 1):
                    if number % huge_every == 0:
                        rpc, data, is_bad = fuzzer.huge()
                    elif number % 50 == 1:
                        rpc, data, is_bad = fuzzer.configuration()
                    else:
                        rpc, data, is_bad = fuzzer.message()
                    fault = _send(channel, rpc, data, is_bad, outcome)
                    if process.poll() is not None:
                        fault = f"the process ended with {process.returncode}"
                    if fault:
                        outcome.faults.append(f"seed {seed}, number {number}, {rpc.name}: {fault}")
                    if process.poll() is not None:
                        break
            process.kill()
    return outcome


def _send(channel: Any, rpc: Rpc, data: bytes, is_bad: bool, outcome: Outcome) -> str:
    """Send one message; what is wrong with the answer, if anything."""
    outcome.sent[rpc.name] += 1
    path = f"/{SERVICE}/{rpc.name}"
    try:
        if rpc.gives_stream:
            answers = list(channel.unary_stream(path)(data, timeout=SECONDS_PER_MESSAGE))
        elif rpc.takes_stream:
            answers = [channel.stream_unary(path)(iter([data]), timeout=SECONDS_PER_MESSAGE)]
        else:
            answers = [channel.unary_unary(path)(data, timeout=SECONDS_PER_MESSAGE)]
    except grpc.RpcError as error:
        return f"answered with the gRPC status {error.code().name}"
    has_diagnostic = any(_diagnostics(rpc.response.FromString(answer)) for answer in answers)
    outcome.with_diagnostic += has_diagnostic
    if is_bad and not has_diagnostic:
        return "malformed and answered without a diagnostic"
    if any(b"Traceback" in answer for answer in answers):
        return "answered with a traceback"
    return ""


def _diagnostics(answer: Any) -> bool:
    """Whether an answer says that something is wrong."""
    fields = {item.name for item, _ in answer.ListFields()}
    return bool(fields & {"diagnostics", "diagnostic", "error", "Error", "completed"})


def main() -> None:
    """Run as a program; ends with 1 when a message was not answered as it must be."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--messages", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randint(0, 2**31))
    options = parser.parse_args()
    begun = time.monotonic()
    outcome = run(options.messages, options.seed)
    sent = outcome.sent.total()
    line = {
        "name": "fuzz_provider",
        "seed": options.seed,
        "messages": sent,
        "methods": len(outcome.sent),
        "with_diagnostic": outcome.with_diagnostic,
        "faults": outcome.faults[:20],
        "took_s": round(time.monotonic() - begun, 1),
        "ok": not outcome.faults and sent >= options.messages,
    }
    sys.stdout.write(json.dumps(line) + "\n")
    sys.exit(0 if line["ok"] else 1)


if __name__ == "__main__":
    main()
