"""Between hub and leaf, and leaf and engine, under TLS, with certificates made on the spot."""

from __future__ import annotations

import asyncio
import ipaddress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from gkc_engine.bus.config import Tls
from tests.federation.centers import buses, centers, until

FROM = datetime(2026, 1, 1, tzinfo=UTC)


class Authority:
    """Signs certificates for this machine."""

    def __init__(self, folder: Path, name: str) -> None:
        folder.mkdir()
        self.folder, self._name = folder, x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self._key = ec.generate_private_key(ec.SECP256R1())
        made = self._builder(self._name, self._key.public_key()).add_extension(
            x509.BasicConstraints(ca=True, path_length=None), critical=True
        )
        self.ca = self._write("ca.pem", made.sign(self._key, hashes.SHA256()))

    def _builder(self, name: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(FROM)
            .not_valid_after(FROM + timedelta(days=3650))
        )

    def _write(self, name: str, certificate: x509.Certificate) -> Path:
        path = self.folder / name
        path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        return path

    def signed(self, name: str) -> Tls:
        """Return the files of one who is reached at 127.0.0.1."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        here = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
        made = self._builder(subject, key.public_key()).add_extension(
            x509.SubjectAlternativeName([here]), critical=False
        )
        path = self.folder / f"{name}.key"
        path.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        certificate = self._write(f"{name}.pem", made.sign(self._key, hashes.SHA256()))
        return Tls(cert=certificate, key=path, ca=self.ca)


async def test_two_centers_speak_under_tls(tmp_path: Path) -> None:
    tls = Authority(tmp_path / "ca", "city").signed("everybody")
    async with (
        buses(tmp_path, ("centr", "sever"), tls) as city,
        centers(city, {"centr": 0, "sever": 1}) as nodes,
    ):
        assert nodes["centr"].load_of("sever") is not None
        # The first line of a server says whether it goes on in plain text.
        for port in (city.leaf_port, city.leaves["sever"].port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            assert b'"tls_required":true' in await reader.readline()
            writer.close()


async def test_a_leaf_of_another_authority_is_not_let_in(tmp_path: Path) -> None:
    """The hub asks each leaf node for its certificate."""
    city_ca, other = Authority(tmp_path / "ca", "city"), Authority(tmp_path / "other", "other")
    tls, foreign = city_ca.signed("hub"), other.signed("leaf")
    foreign = Tls(cert=foreign.cert, key=foreign.key, ca=city_ca.ca)
    async with buses(tmp_path, ("centr", "sever"), tls, {"sever": foreign}) as city:
        with pytest.raises(TimeoutError):
            async with centers(city, {"centr": 0, "sever": 1}, known_within_s=4.0):
                pass
        await until(lambda: "certificate" in city.hub.log.read_text())
