"""Log lines through a websocket of a real server, as stock clients follow them."""

from typing import Any
from uuid import uuid4

import httpx2 as httpx

from tests.conftest import RunningServer
from tests.server.events.sockets import a_subscriber, read


def a_line(message: str, run_id: str, **fields: Any) -> dict[str, Any]:
    line = {"name": "flow", "level": 20, "message": message, "flow_run_id": run_id}
    return line | {"timestamp": "2030-01-01T00:00:00Z"} | fields


async def write(server: RunningServer, *lines: dict[str, Any]) -> None:
    headers = {"Authorization": f"Bearer {server.api_key}"}
    async with httpx.AsyncClient(base_url=server.api_url, headers=headers) as client:
        answer = await client.post("/logs/", json=list(lines))
        assert answer.status_code == 201, answer.text


async def test_lines_of_a_run_are_replayed_and_then_followed(
    shared_server: RunningServer,
) -> None:
    run_id, other = str(uuid4()), str(uuid4())
    stored = [a_line(f"line {number}", run_id) for number in range(3)]
    await write(shared_server, *stored, a_line("of another run", other))
    criteria = {"flow_run_id": {"any_": [run_id]}, "level": {"ge_": 20}}

    async with a_subscriber(shared_server, criteria, "/logs/out") as out:
        frames = [await read(out) for _ in stored]
        await write(
            shared_server,
            a_line("of another run", other),
            a_line("not loud enough", run_id, level=10),
            a_line("line 3", run_id),
        )
        frames.append(await read(out))

    assert {frame["type"] for frame in frames} == {"log"}
    assert [frame["log"]["message"] for frame in frames] == [f"line {n}" for n in range(4)]
    assert frames[-1]["log"]["flow_run_id"] == run_id


async def test_a_large_batch_of_lines_comes_whole_and_in_order(
    shared_server: RunningServer,
) -> None:
    run_id = str(uuid4())
    wanted = [f"line {number}" for number in range(1_500)]

    async with a_subscriber(
        shared_server, {"flow_run_id": {"any_": [run_id]}}, "/logs/out"
    ) as out:
        await write(shared_server, a_line("first", run_id))
        assert (await read(out))["log"]["message"] == "first"
        await write(shared_server, *(a_line(message, run_id) for message in wanted))

        received = [(await read(out))["log"]["message"] for _ in wanted]

    assert received == wanted
