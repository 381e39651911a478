"""How our clients reach a Kafka broker: its address, encryption and login.

Three client libraries are in use (librdkafka by confluent-kafka, kafka-python, aiokafka also inside
faust); each gets its settings from here, so that a deployment decides once about TLS and SASL.
"""

from __future__ import annotations

import ssl
from typing import Any, Literal, NamedTuple, get_args

Protocol = Literal["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"]
Mechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]
PROTOCOLS: tuple[str, ...] = get_args(Protocol)
MECHANISMS: tuple[str, ...] = get_args(Mechanism)


class Security(NamedTuple):
    """Security settings of a broker's clients. Files are PEM; `ca` "" means the system's
    authorities; `certificate` and `key` are ours, if the broker demands them (mutual TLS)."""

    protocol: Protocol = "plaintext"
    mechanism: Mechanism = "SCRAM-SHA-512"
    username: str = ""
    password: str = ""
    ca: str = ""
    certificate: str = ""
    key: str = ""
    key_password: str = ""

    @property
    def tls(self) -> bool:
        """Whether the connection is encrypted."""
        return self.protocol.endswith("ssl")

    @property
    def sasl(self) -> bool:
        """Whether we log in with a name and a password."""
        return self.protocol.startswith("sasl")

    def context(self) -> ssl.SSLContext | None:
        """For the clients that take a context; None without TLS. Raises OSError (ssl.SSLError)
        for files that cannot be used."""
        if not self.tls:
            return None
        context = ssl.create_default_context(cafile=self.ca or None)
        if self.certificate:
            context.load_cert_chain(
                self.certificate, self.key or None, self.key_password or (lambda: "")
            )
        return context


NOTHING = Security()


class Broker(str):
    """Bootstrap servers, "HOST:PORT[,HOST:PORT...]", that also know how to log in.

    It is text, so that whatever prints it prints the address and never a secret. A plain text is a
    broker that asks for nothing.
    """

    security: Security

    def __new__(cls, servers: str, security: Security = NOTHING) -> Broker:
        broker = super().__new__(cls, servers)
        broker.security = security
        return broker


def security_of(broker: str) -> Security:
    """Return the security settings of this broker."""
    return broker.security if isinstance(broker, Broker) else NOTHING


def librdkafka(broker: str) -> dict[str, Any]:
    """Settings of a confluent-kafka client."""
    s, found = security_of(broker), {"bootstrap.servers": str(broker)}
    if s.protocol != "plaintext":
        found["security.protocol"] = s.protocol
    if s.sasl:
        found |= {
            "sasl.mechanism": s.mechanism,
            "sasl.username": s.username,
            "sasl.password": s.password,
        }
    files = {
        "ssl.ca.location": s.ca,
        "ssl.certificate.location": s.certificate,
        "ssl.key.location": s.key,
        "ssl.key.password": s.key_password,
    }
    return found | {name: value for name, value in files.items() if s.tls and value}


def kafka_python(broker: str) -> dict[str, Any]:
    """Arguments of a kafka-python client."""
    return {"bootstrap_servers": broker.split(","), **_python(security_of(broker))}


def aiokafka(broker: str) -> dict[str, Any]:
    """Arguments of an aiokafka client."""
    return {"bootstrap_servers": str(broker), **_python(security_of(broker))}


def _python(s: Security) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if s.protocol != "plaintext":
        found |= {"security_protocol": s.protocol.upper(), "ssl_context": s.context()}
    if s.sasl:
        found |= {
            "sasl_mechanism": s.mechanism,
            "sasl_plain_username": s.username,
            "sasl_plain_password": s.password,
        }
    return found
