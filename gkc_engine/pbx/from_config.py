"""From the config tree to the plan of an Asterisk."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from gkc_engine.config.federation import trunks
from gkc_engine.config.models import Config
from gkc_engine.errors import ConfigError
from gkc_engine.ids import SECOND
from gkc_engine.numbers import normalise
from gkc_engine.pbx.model import Ami, CenterTrunk, FallbackQueue, OperatorPhone, PbxPlan

GOODBYE: Final = "timed-out"
"""The prompt for a citizen whom the fallback queue could not serve either."""

EMERGENCY: Final = "emergency-refused"
"""What an operator's phone hears that dials 112 where no way out is configured."""

OUTBOUND: Final = "outbound-unavailable"
"""What an operator hears who calls outside while the engine is away."""

TRANSFER: Final = "agent-enter-number"
TRANSFER_DONE: Final = "agent-stored"
TRANSFER_FAILED: Final = "agent-refused"
"""What an operator hears after ``##``; Asterisk gives the transfer up when it has no such file."""


def plan_from_config(
    config: Config, secret: Callable[[str], str], prompts: Path | None = None
) -> PbxPlan:
    """Return the plan of ``config``; ``secret`` gives what a reference (``env:X``) refers to.

    ``prompts`` is the folder of sounds (``LANGUAGE/NAME.alaw``), for the one that Asterisk plays
    by itself.

    No trunk is in it: that is the administrator's, and he points its context at ``gkc``. An
    operator without ``secret`` has an endpoint already, so none is written for him.

    Raises:
        ConfigError: a secret is missing or cannot stand in Asterisk's files.
    """
    return PbxPlan(
        center=config.center.name,
        ami=Ami(
            host=config.pbx.ami.host,
            port=config.pbx.ami.port,
            user=config.pbx.ami.user,
            secret=secret(config.pbx.ami.secret),
        ),
        operators=tuple(
            OperatorPhone(
                endpoint=operator.interface.removeprefix("PJSIP/"),
                agent_id=name,
                title=operator.title or operator.name,
                password=secret(operator.secret) if operator.secret is not None else None,
            )
            for name, operator in config.operators.items()
        ),
        queues=tuple(
            FallbackQueue(
                name=name,
                timeout_s=_whole_seconds(queue.timeout),
                wrapup_s=_whole_seconds(queue.wrapuptime),
                servicelevel_s=_whole_seconds(queue.servicelevel),
                music_class=queue.musicclass,
            )
            for name, queue in config.queues.items()
        ),
        trunks=(),
        centers=center_trunks(config),
        numbers=tuple(spelling for number in config.numbers for spelling in _spellings(number)),
        number_queues=tuple(
            (spelling, entry.queue or next(iter(config.queues)))
            for number, entry in config.numbers.items()
            for spelling in _spellings(number)
        ),
        fastagi_host=config.pbx.fastagi.host,
        fastagi_port=config.pbx.fastagi.port,
        language=config.center.languages[0],
        emergency_context=config.pbx.emergency_context,
        emergency_prompt=_prompt(prompts, config.center.languages[0], EMERGENCY),
        outbound=config.outbound is not None,
        outbound_allow=config.outbound.allow if config.outbound is not None else (),
        outbound_prompt=_prompt(prompts, config.center.languages[0], OUTBOUND),
        goodbye_prompt=_prompt(prompts, config.center.languages[0], GOODBYE),
        transfer_prompt=_prompt(prompts, config.center.languages[0], TRANSFER),
        transfer_done_prompt=_prompt(prompts, config.center.languages[0], TRANSFER_DONE),
        transfer_failed_prompt=_prompt(prompts, config.center.languages[0], TRANSFER_FAILED),
        default_wrapup_s=max(_whole_seconds(q.wrapuptime) for q in config.queues.values()),
    )


def center_trunks(config: Config) -> tuple[CenterTrunk, ...]:
    """Return the ways to the other centers of the city and from them; none if there are none."""
    return tuple(
        CenterTrunk(center=trunk.center, host=trunk.host, port=trunk.port)
        for trunk in trunks(config)
    )


def _prompt(prompts: Path | None, language: str, name: str) -> Path | None:
    if prompts is None:
        return None
    path = prompts.resolve() / language / name
    return path if path.with_suffix(".alaw").is_file() else None


def _whole_seconds(us: int) -> int:
    return -(-us // SECOND)


def _spellings(number: str) -> tuple[str, ...]:
    """Return how a city number is dialled on an operator's phone: +7…, 7…, 8…."""
    e164 = normalise(number).e164
    if e164 is None:
        raise ConfigError(f"numbers: found {number!r}, expected a telephone number")
    if e164.startswith("+7"):
        return e164, e164[1:], f"8{e164[2:]}"
    return e164, e164[1:]
