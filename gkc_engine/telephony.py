"""The phone channel of one engine, from its config: AMI, FastAGI, menus, announcements."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import structlog

from gkc_engine import plans
from gkc_engine.acd.expected_wait import ExpectedWait
from gkc_engine.channels.phone.ami import AmiLink
from gkc_engine.channels.phone.channel import PhoneChannel
from gkc_engine.channels.phone.entry import EntryDesk
from gkc_engine.channels.phone.menu_run import MenuRunner
from gkc_engine.channels.phone.plan import PhonePlan
from gkc_engine.channels.phone.waiting import Announcements
from gkc_engine.config.models import Config
from gkc_engine.config.secrets import resolve_secret
from gkc_engine.engine import Engine
from gkc_engine.errors import ConfigError
from gkc_engine.front_desk import FrontDesk
from gkc_engine.ids import QueueId
from gkc_engine.ivr.fastagi import AgiServer

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where an engine runs, and what stands in place of its config."""

    folder: Path
    """Of the config: references to secrets and prompts are relative to it."""
    state: Path
    token_key: str | None
    """Signs calls between centers; ``None``: it is alone."""
    ami_port: int | None = None
    agi_port: int | None = None


def phone_plan(config: Config, sounds: plans.Sounds, place: Place) -> PhonePlan:
    """Return what the phone channel goes by under a config."""

    def pin(reference: str) -> str | None:
        # Without it he cannot log in from another's phone, no more.
        try:
            return resolve_secret(reference, place.folder)
        except ConfigError as error:
            log.warning("pin_missing", reason=str(error))
            return None

    return plans.phone_plan(config, sounds.find, pin, place.state, place.token_key)


def announcements(
    config: Callable[[], Config], engine: Engine, sounds: plans.Sounds, expected: ExpectedWait
) -> Announcements:
    """Return who tells those who wait their place; attached to the engine."""
    told = Announcements(config, engine, sounds.phrase, expected, spoken=sounds.spoken)
    engine.observe(told.observe)
    return told


def phone_channel(
    config: Callable[[], Config],
    engine: Engine,
    desk: FrontDesk,
    told: Announcements,
    sounds: plans.Sounds,
    place: Place,
) -> PhoneChannel:
    """Build the phone channel; it is neither started nor attached yet.

    Raises:
        ConfigError: The reference to the secret of the AMI leads nowhere.
    """
    pbx = config().pbx
    secret = resolve_secret(pbx.ami.secret, place.folder)
    default = QueueId(next(iter(config().queues)))
    return PhoneChannel(
        engine,
        phone_plan(config(), sounds, place),
        desk,
        lambda channel: AmiLink(
            pbx.ami.host,
            place.ami_port or pbx.ami.port,
            pbx.ami.user,
            secret,
            on_event=channel.on_ami_event,
            on_up=channel.on_ami_up,
            on_down=channel.on_ami_down,
            allow_broad=pbx.ami.allow_broad,
        ),
        lambda channel: AgiServer(
            channel.sockets.serve, pbx.fastagi.host, place.agi_port or pbx.fastagi.port
        ),
        EntryDesk(MenuRunner(lambda: config().ivr), told, default),
        place.folder / pbx.cel if pbx.cel else None,
    )
