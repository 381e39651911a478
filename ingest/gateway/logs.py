"""Log lines as JSON, one object a line: time, level, event, and what belongs to it."""

from __future__ import annotations

import json
import logging

_USUAL = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonLines(logging.Formatter):
    """Formats log records as JSON; each entry of `extra` becomes a key."""

    default_msec_format = "%s.%03dZ"

    def __init__(self) -> None:
        super().__init__(datefmt="%Y-%m-%dT%H:%M:%S%z")

    def format(self, record: logging.LogRecord) -> str:
        line = {"time": self.formatTime(record, self.datefmt), "level": record.levelname.lower()}
        line |= {"event": record.getMessage()}
        line |= {key: value for key, value in vars(record).items() if key not in _USUAL}
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)
