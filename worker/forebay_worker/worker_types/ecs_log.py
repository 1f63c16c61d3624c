"""Lines of a container in CloudWatch Logs, asked for again and again. Knows no task."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from forebay_worker.output import REMEMBERED_LINES, Output
from forebay_worker.worker_types.aws_access import Aws
from forebay_worker.worker_types.cloud import CloudError, Stamps

Json = dict[str, Any]

NOT_FOUND = "ResourceNotFoundException"


def log_stream(container: Mapping[str, Any], task_arn: str) -> Json | None:
    """Region, group and stream of a container's lines; none when nobody can know them."""
    given = container.get("logConfiguration") or {}
    options = given.get("options") or {}
    group, prefix = options.get("awslogs-group"), options.get("awslogs-stream-prefix")
    if given.get("logDriver") != "awslogs" or not group or not prefix:
        return None
    stream = f"{prefix}/{container['name']}/{task_arn.rpartition('/')[2]}"
    return {
        "region": options.get("awslogs-region"),
        "logGroupName": group,
        "logStreamName": stream,
    }


class LogTail:
    """One stream from a time on."""

    def __init__(self, aws: Aws, stream: Json, output: Output, since: datetime | None) -> None:
        self._aws = aws
        self._stream = stream
        self._output = output
        self._stamps = Stamps(since)
        self._token: str | None = None

    async def read(self) -> int:
        """Hand on what is new; the number of lines. Raises `CloudError`."""
        handed_on = 0
        while True:
            try:
                page = await self._ask(startFromHead=True, **self._from())
            except CloudError as error:
                if error.code == NOT_FOUND:  # nothing has been written yet
                    return handed_on
                raise
            for event in page["events"]:
                handed_on += self._take(event)
            token, self._token = self._token, page["nextForwardToken"]
            if token == self._token:
                return handed_on

    async def read_last(self) -> None:
        """Hand on the last lines. Raises `CloudError`."""
        try:
            page = await self._ask(startFromHead=False, limit=REMEMBERED_LINES)
        except CloudError as error:
            if error.code == NOT_FOUND:
                return
            raise
        for event in page["events"]:
            self._take(event)

    def _from(self) -> Json:
        if self._token:
            return {"nextToken": self._token}
        known = self._stamps.known
        return {"startTime": int(known.timestamp() * 1000)} if known else {}

    async def _ask(self, **parameters: Any) -> Json:
        return await self._aws.ask("logs", "get_log_events", **self._stream, **parameters)

    def _take(self, event: Json) -> int:
        milliseconds = event["timestamp"]
        at = datetime.fromtimestamp(milliseconds // 1000, UTC).replace(
            microsecond=milliseconds % 1000 * 1000
        )
        own = self._stamps.new(at)
        if own is None:
            return 0
        self._output.line("stdout", event["message"], own)
        return 1
