"""TLS by certificate files, and a self-signed certificate for trials."""

from __future__ import annotations

import datetime
import ipaddress
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ingest.clock import Clock
from ingest.errors import BadInputError

if TYPE_CHECKING:
    from cryptography.x509 import GeneralName

VALID_DAYS = 30
_REMEDY = "Give both as PEM files; for a trial: ecgwatch ingest --self-signed FOLDER --name HOST."


class Tls(NamedTuple):
    """PEM files of a certificate, with its chain, and its key."""

    certificate: Path
    key: Path


def check_tls(certificate: str, key: str) -> Tls | None:
    """The files that the settings name, or None for plain HTTP. Raises BadInputError."""
    if not certificate and not key:
        return None
    if not certificate or not key:
        raise BadInputError("a TLS certificate and its key go together", _REMEDY)
    found = Tls(Path(certificate).expanduser(), Path(key).expanduser())
    for path in found:
        if not path.is_file() or not os.access(path, os.R_OK):
            raise BadInputError(f"cannot read {path}", _REMEDY)
    return found


def self_signed(folder: Path, names: Sequence[str], clock: Clock) -> Tls:
    """Make a certificate for these host names and addresses, good for 30 days, and its key, for the owner alone.

    Browsers warn of it, rightly: whoever accepts it trusts the network that it came by. Raises BadInputError.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    who = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0][:64])])
    now = datetime.datetime.fromtimestamp(clock.now_ns() / 1e9, datetime.UTC)
    alternatives = [_general_name(name) for name in names]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(who)
        .issuer_name(who)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=VALID_DAYS))
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    made = Tls(folder / "certificate.pem", folder / "key.pem")
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        made.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        made.key.unlink(missing_ok=True)
        with os.fdopen(
            os.open(made.key, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb"
        ) as file:
            file.write(private)
    except OSError as error:
        raise BadInputError(
            f"cannot write to {folder}: {error.strerror}", "Give another folder."
        ) from error
    return made


def _general_name(name: str) -> GeneralName:
    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
