"""A refresh of what has not changed: what it costs to load, and what it answers."""

import os
import subprocess
import sys
from uuid import uuid4

from forebay.calls import work_pools
from forebay.client import Client
from forebay.settings import ClientSettings
from forebay.wire.work_pools import WorkPoolCreate
from tests.conftest import RunningServer

REFRESH = """
import os, sys
from forebay_provider.dispatch import rpcs
from forebay_provider.framework import objects
from forebay_provider.pb import tfplugin6_pb2 as pb
from forebay_provider.provider_block import ProviderConfig
from forebay_provider.servicer import Servicer

call = {rpc.name: rpc for rpc in rpcs(Servicer())}
settings = dict.fromkeys(ProviderConfig.__annotations__)
settings |= {"endpoint": os.environ["API"], "api_key": os.environ["KEY"]}
config = objects.encode(ProviderConfig, settings)
call["ConfigureProvider"](pb.ConfigureProvider.Request(config=config).SerializeToString())

def answer(rpc, **request):
    sent = getattr(pb, rpc).Request(type_name="forebay_work_pool", **request)
    got = getattr(pb, rpc).Response.FromString(call[rpc](sent.SerializeToString()))
    assert not got.diagnostics, got
    return got

(found,) = answer("ImportResourceState", id=os.environ["POOL"]).imported_resources
first = answer("ReadResource", current_state=found.state).new_state
again = answer("ReadResource", current_state=first).new_state
assert first.msgpack and again == first
print(*sorted({name.partition(".")[0] for name in sys.modules}))
"""


def test_refresh_of_an_unchanged_pool_imports_no_shapes_and_gives_back_its_state(
    shared_server: RunningServer,
) -> None:
    pool = f"rows {uuid4().hex[:8]}"
    settings = ClientSettings(api_url=shared_server.api_url, api_key=shared_server.api_key)
    with Client(settings) as client:
        client.send(work_pools.create(WorkPoolCreate(name=pool, type="process")))
    environment = {"API": shared_server.api_url, "KEY": shared_server.api_key, "POOL": pool}

    done = subprocess.run(
        [sys.executable, "-c", REFRESH],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )

    assert not set(done.stdout.split()) & {"pydantic", "pydantic_core", "httpx2"}
