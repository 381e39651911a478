"""Kafka and InfluxDB with TLS, and a certificate authority of their own."""

from __future__ import annotations

import datetime
import ipaddress
import ssl
from pathlib import Path

from tools.services import Influxdb, Kafka, free_port


class SecureKafka(Kafka):
    """Kafka with four listeners: `address` in the clear; `mtls` (it asks for our certificate),
    `sasl` (a name and a password in the clear) and `sasl_tls` (these over TLS), as PLAIN,
    SCRAM-SHA-256 or SCRAM-SHA-512. `ca`, `certificate` and `key` are PEM files for clients."""

    user, password = "ecgwatch", "a secret = of blanks"

    def __init__(self, port: int = 0) -> None:
        self._ports = {name: free_port() for name in ("SSL", "SASL_PLAINTEXT", "SASL_SSL")}
        super().__init__(port)
        self.mtls, self.sasl, self.sasl_tls = (
            f"127.0.0.1:{self._ports[name]}" for name in ("SSL", "SASL_PLAINTEXT", "SASL_SSL")
        )

    def _scram(self) -> list[str]:
        made = []
        for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-512"):
            made += ["--add-scram", f'{mechanism}=[name={self.user},password="{self.password}"]']
        return made

    def _properties(self, plain: str) -> str:
        """Add the further listeners, whose keys and certificates are made first."""
        self.ca, self.certificate, self.key = make_certificates(self.folder)
        more = "".join(f",{name}://127.0.0.1:{port}" for name, port in self._ports.items())
        lines = [
            line + more if line.startswith(("listeners=", "advertised.listeners=")) else line
            for line in plain.splitlines()
        ]
        plain_user = f'user_{self.user}="{self.password}"'
        lines += [
            "listener.security.protocol.map="
            + ",".join(f"{name}:{name}" for name in ("PLAINTEXT", *self._ports))
            + ",CONTROLLER:PLAINTEXT",
            "ssl.keystore.type=PEM",
            f"ssl.keystore.location={self.folder / 'broker.pem'}",
            "ssl.truststore.type=PEM",
            f"ssl.truststore.location={self.ca}",
            "listener.name.ssl.ssl.client.auth=required",
            "sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512",
        ]
        for name in ("sasl_plaintext", "sasl_ssl"):
            login = f"listener.name.{name}"
            package = "org.apache.kafka.common.security"
            lines += [
                f"{login}.plain.sasl.jaas.config={package}.plain.PlainLoginModule required {plain_user};",
                *(
                    f"{login}.scram-sha-{n}.sasl.jaas.config={package}.scram.ScramLoginModule required;"
                    for n in (256, 512)
                ),
            ]
        return "\n".join(lines) + "\n"


class SecureInfluxdb(Influxdb):
    """InfluxDB over TLS, with a certificate of an authority of its own: the PEM file `ca`."""

    def __init__(self, port: int = 0) -> None:
        super().__init__(port)
        self.url = f"https://127.0.0.1:{self.port}"
        self.ca, _, _ = make_certificates(self.folder)
        self._trust = ssl.create_default_context(cafile=self.ca)

    def _command(self) -> list[str]:
        pem = str(self.folder / "broker.pem")
        return [*super()._command(), "--tls-cert", pem, "--tls-key", pem]


def make_certificates(folder: Path) -> tuple[Path, Path, Path]:
    """Make a certificate authority, a server's certificate for 127.0.0.1 (broker.pem, with its key)
    and a client's: the PEM files of the authority, the client's certificate and its key."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    now = datetime.datetime.now(datetime.UTC)
    keys = {name: ec.generate_private_key(ec.SECP256R1()) for name in ("ca", "broker", "client")}
    names = {n: x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, n)]) for n in keys}
    pem = {}
    for name, key in keys.items():
        built = (
            x509.CertificateBuilder()
            .subject_name(names[name])
            .issuer_name(names["ca"])
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(days=30))
            .add_extension(x509.BasicConstraints(ca=name == "ca", path_length=None), critical=True)
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False
            )
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(keys["ca"].public_key()),
                critical=False,
            )
        )
        if name == "ca":
            usage = x509.KeyUsage(True, False, False, False, False, True, True, False, False)
            built = built.add_extension(usage, critical=True)
        if name == "broker":
            place = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
            built = built.add_extension(place, critical=False)
        made = built.sign(keys["ca"], hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        secret = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        pem[name] = made, secret
    files = {
        "ca.pem": pem["ca"][0],
        "broker.pem": pem["broker"][1] + pem["broker"][0],
        "client.pem": pem["client"][0],
        "client-key.pem": pem["client"][1],
    }
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder / "ca.pem", folder / "client.pem", folder / "client-key.pem"
