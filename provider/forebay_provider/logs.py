"""Log lines that Terraform understands, on stderr. Knows no provider logic.

Terraform reads a plugin's stderr line by line; a JSON object with these keys keeps its level and
fields. Source: go-plugin, hclog's JSON form.
"""

import json
import logging
import sys
from collections.abc import Mapping
from datetime import UTC, datetime

TRACE = 5
_LEVELS = {
    "JSON": TRACE,
    "TRACE": TRACE,
    "DEBUG": logging.DEBUG,
    "INFO": logging.INFO,
    "WARN": logging.WARNING,
    "ERROR": logging.ERROR,
}
_NAMES = {TRACE: "trace", logging.DEBUG: "debug", logging.INFO: "info", logging.WARNING: "warn"}
# What every record has; anything else on one was given as `extra`.
_OWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "taskName"}

_secrets: set[str] = set()


def hide(secret: str | None) -> None:
    """Never let `secret` appear in a log line from now on."""
    if secret:
        _secrets.add(secret)


def redacted(text: str) -> str:
    """`text` without the secrets that were given to `hide`."""
    for secret in _secrets:
        text = text.replace(secret, "(sensitive)")
    return text


def start(environ: Mapping[str, str]) -> None:
    """Log what `TF_LOG_PROVIDER`, else `TF_LOG`, asks for; without either, nothing."""
    asked = environ.get("TF_LOG_PROVIDER") or environ.get("TF_LOG") or "OFF"
    level = _LEVELS.get(asked.upper())
    if level is None:
        logging.disable(logging.CRITICAL)
        return
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Formatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)


class _Formatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "@level": _NAMES.get(record.levelno, "error"),
            "@message": redacted(record.getMessage()),
            "@timestamp": datetime.fromtimestamp(record.created, UTC).strftime(
                "%Y-%m-%dT%H:%M:%S.%fZ"
            ),
            "@module": record.name,
        }
        for key, value in vars(record).items():
            if key not in _OWN:
                line[key] = redacted(str(value))
        if record.exc_info:
            line["traceback"] = redacted(self.formatException(record.exc_info))
        return json.dumps(line)
