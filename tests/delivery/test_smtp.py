"""What a real server's answers come to: TLS, passwords, refusals, silence."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.smtp import AuthResult, LoginPassword
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from gkc_engine.config.report_model import MailModel
from gkc_engine.delivery.outcome import BrokenOffError, Outcome, ServerError
from gkc_engine.delivery.smtp import Limits, session
from tests.delivery.support import Server, serving

FAST = Limits(answer=0.2, mail=5.0)
TO = ["a@city.example", "b@city.example"]
MAIL = b"Subject: x\r\n\r\n.dots\r\n..more\r\n"


def model(server: Server, **more: str) -> MailModel:
    entry = {"host": "127.0.0.1", "port": server.port, "tls": "none", "from": "gkc@city.example"}
    return MailModel.model_validate({**entry, **more})


async def send(mail: MailModel, folder: Path, limits: Limits = FAST) -> Outcome:
    async with session(mail, folder, limits) as open_session:
        return await open_session.send(TO, MAIL)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ssl.SSLContext]:
    """A certificate that nobody knows, for 127.0.0.1, and a server's context with it."""
    folder = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mail.city.example")])
    now = datetime(2026, 1, 1, tzinfo=UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=4000))
        .not_valid_after(now + timedelta(days=40_000))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    pem = folder / "ca.pem"
    pem.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    secret = folder / "key.pem"
    plain = serialization.NoEncryption()
    pkcs8 = serialization.PrivateFormat.PKCS8
    secret.write_bytes(key.private_bytes(serialization.Encoding.PEM, pkcs8, plain))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem, secret)
    return pem, context


async def test_taken_as_it_was_given(tmp_path: Path) -> None:
    async with serving(Server()) as server:
        outcome = await send(model(server), tmp_path)
    assert set(outcome.sent) == set(TO)
    assert (outcome.refused, outcome.later) == ({}, {})
    assert server.mails == [MAIL]


@pytest.mark.parametrize(
    ("rcpt", "data", "sent", "refused", "later"),
    [
        ({TO[0]: "550 unknown"}, [], {TO[1]}, {TO[0]: "550 unknown"}, {}),
        ({TO[0]: "452 full"}, [], {TO[1]}, {}, {TO[0]: "452 full"}),
        (
            {TO[0]: "550 unknown", TO[1]: "450 later"},
            [],
            set(),
            {TO[0]: "550 unknown"},
            {TO[1]: "450 later"},
        ),
        ({}, ["451 busy"], set(), {}, dict.fromkeys(TO, "451 busy")),
        ({}, ["552 too big"], set(), dict.fromkeys(TO, "552 too big"), {}),
    ],
)
async def test_for_now_and_for_good_are_told_apart(
    tmp_path: Path,
    rcpt: dict[str, str],
    data: list[str],
    sent: set[str],
    refused: dict[str, str],
    later: dict[str, str],
) -> None:
    async with serving(Server(rcpt=rcpt, data=data)) as server:
        outcome = await send(model(server), tmp_path)
    assert (set(outcome.sent), outcome.refused, outcome.later) == (sent, refused, later)


@pytest.mark.parametrize("said", ["drop", "hang"])
async def test_a_session_that_breaks_within_a_mail(tmp_path: Path, said: str) -> None:
    async with serving(Server(data=[said])) as server:
        with pytest.raises(BrokenOffError, match="in the course of this mail"):
            await send(model(server), tmp_path)


async def test_too_big_by_the_server_s_own_word(tmp_path: Path) -> None:
    async with serving(Server(), data_size_limit=10) as server:
        outcome = await send(model(server), tmp_path)
    assert set(outcome.refused) == set(TO)
    assert "552" in outcome.refused[TO[0]]
    assert server.mails == []


async def test_a_server_that_closes(tmp_path: Path) -> None:
    async with serving(Server(data=["421 shutting down"])) as server:
        with pytest.raises(ServerError, match="closes: 421 shutting down"):
            await send(model(server), tmp_path)


async def test_nobody_listens(tmp_path: Path) -> None:
    async with serving(Server()) as server:
        pass
    with pytest.raises(ServerError, match=rf"^127\.0\.0\.1:{server.port}: "):
        await send(model(server), tmp_path)


@pytest.mark.parametrize("tls", ["starttls", "tls"])
async def test_encrypted_when_the_authority_is_known(
    tmp_path: Path, certificate: tuple[Path, ssl.SSLContext], tls: str
) -> None:
    pem, context = certificate
    how: dict[str, Any] = {"implicit_tls": context} if tls == "tls" else {"tls_context": context}
    if tls == "starttls":
        how["require_starttls"] = True
    async with serving(Server(), **how) as server:
        outcome = await send(model(server, tls=tls, ca=str(pem)), tmp_path, Limits())
        assert set(outcome.sent) == set(TO)
        with pytest.raises(ServerError, match=r"name the authority's certificates in mail\.ca"):
            await send(model(server, tls=tls), tmp_path, Limits())
    assert len(server.mails) == 1


async def test_no_starttls_is_never_made_up_for_by_clear_text(tmp_path: Path) -> None:
    async with serving(Server()) as server:
        with pytest.raises(ServerError, match=r"it offers no STARTTLS: set mail\.tls"):
            await send(model(server, tls="starttls"), tmp_path)
    assert server.mails == []


async def test_a_file_of_certificates_that_is_not_there(tmp_path: Path) -> None:
    async with serving(Server()) as server:
        with pytest.raises(ServerError, match=r"mail\.ca: .*nowhere\.pem"):
            await send(model(server, tls="starttls", ca="nowhere.pem"), tmp_path)


@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")  # here is no wire
async def test_passwords(tmp_path: Path) -> None:
    def knows(*given: object) -> AuthResult:
        data = given[-1]
        right = isinstance(data, LoginPassword) and data.password == b"right"
        return AuthResult(success=right, handled=False)

    secret = tmp_path / "secret"
    how = {"authenticator": knows, "auth_required": True, "auth_require_tls": False}
    async with serving(Server(), **how) as server:
        mail = model(server, user="gkc", secret="file:secret")
        with pytest.raises(ServerError, match=r"mail: file:secret: No such file.*create the file"):
            await send(mail, tmp_path)
        secret.write_text("wrong\n", encoding="utf-8")
        with pytest.raises(ServerError, match=r"refused user gkc: 535 .*see mail\.secret"):
            await send(mail, tmp_path)
        secret.write_text("right\n", encoding="utf-8")
        assert set((await send(mail, tmp_path)).sent) == set(TO)
        with pytest.raises(ServerError, match=r"the sender gkc@city\.example was refused: 530"):
            await send(model(server), tmp_path)
    assert len(server.mails) == 1
