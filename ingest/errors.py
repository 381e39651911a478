"""Errors a person can do something about.

EcgwatchError                 says what is wrong and what to do; the command line prints both and exits with `exit_code`
|- BadInputError              a record, a file, a setting or an option that cannot be used            exit 1
`- UnreachableError           a broker, a database or a site that does not answer                     exit 3

Beside these: BadMessageError (ingest/messages.py) goes to the dead-letter topic, SinkBusyError
(stream_processor/sinks/base.py) pauses, and anything else is a defect and crashes.
"""

from __future__ import annotations


class EcgwatchError(Exception):
    """What is wrong, naming the input, and what to do about it."""

    exit_code = 1

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(f"{problem}\n{remedy}")
        self.problem = problem
        self.remedy = remedy


class BadInputError(EcgwatchError):
    """A record, a file, a setting or an option that cannot be used."""


class UnreachableError(EcgwatchError):
    """A broker, a database or a site that does not answer."""

    exit_code = 3
