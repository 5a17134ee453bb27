"""From the config tree to what each part needs to know: nothing is decided here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from zoneinfo import ZoneInfo

from gkc_engine.channels.phone.entry import Entry
from gkc_engine.channels.phone.facts import FALLBACK_PREFIX
from gkc_engine.channels.phone.host import QueueVoice, Sound
from gkc_engine.channels.phone.outbound_rules import Night, OutboundRules
from gkc_engine.channels.phone.plan import Between, PhonePlan
from gkc_engine.channels.phone.recording import Recordings
from gkc_engine.channels.phone.roster import Phone
from gkc_engine.config.federation import second_lines
from gkc_engine.config.models import Config, OperatorModel, QueueModel
from gkc_engine.config.thresholds_model import Bounds, QueueThresholdsModel
from gkc_engine.control.live import AgentEntry, Directory, QueueEntry
from gkc_engine.control.measures import Band, Thresholds
from gkc_engine.ids import SECOND, AgentId, QueueId, SkillId
from gkc_engine.ivr.fragments import builtin_texts
from gkc_engine.ivr.prompts import PromptStore, TtsSettings, prompt_texts
from gkc_engine.numbers import normalise
from gkc_engine.pbx.from_config import center_trunks
from gkc_engine.pbx.model import CenterTrunk

FALLBACK_DEFAULT = "gkc-default"

ALAW_BYTES_PER_S = 8000
"""Headerless A-law: one byte a sample (ITU-T G.711)."""


def may_serve(operator: OperatorModel, queue: QueueModel) -> bool:
    """Whether the operator meets the queue's requirement at any of its steps."""
    steps = [queue.require, *(step.require for step in queue.relax)]
    return any(
        all(operator.skills.get(skill, 0) >= level for skill, level in step.items())
        for step in steps
    )


def queues_served(config: Config) -> dict[str, tuple[QueueId, ...]]:
    """Return the queues that each operator may serve, in the order of the config."""
    # Operators are many, kinds of them few: comparing each with each queue costs a start 0.1 s.
    kinds: dict[frozenset[tuple[str, int]], tuple[QueueId, ...]] = {}
    served: dict[str, tuple[QueueId, ...]] = {}
    for name, operator in config.operators.items():
        kind = frozenset(operator.skills.items())
        if kind not in kinds:
            kinds[kind] = tuple(
                QueueId(queue_name)
                for queue_name, queue in config.queues.items()
                if may_serve(operator, queue)
            )
        served[name] = kinds[kind]
    return served


def always_at_work(config: Config) -> list[AgentId]:
    """Return the operators with ``login: always``."""
    return [AgentId(n) for n, operator in config.operators.items() if operator.login == "always"]


def recordings_of(config: Config, state: Path) -> Recordings:
    """Return where recordings lie; a relative path is below the engine's state folder.

    Raises:
        ConfigError: the path cannot be said to Asterisk.
    """
    return Recordings(
        folder=state.resolve() / config.recording.path,
        format=config.recording.format,
        zone=ZoneInfo(config.center.timezone),
    )


def between_centers(center: str, token_key: str, trunks: Iterable[CenterTrunk]) -> Between:
    """Return how the phone channel calls other centers and knows theirs, by ``trunks``."""
    found = tuple(trunks)
    return Between(
        center=center,
        token_key=token_key,
        dials={trunk.center: f"PJSIP/{trunk.endpoint}" for trunk in found},
        comes={f"PJSIP/{trunk.guests}": trunk.center for trunk in found},
    )


def phone_plan(
    config: Config,
    sounds: Callable[[str, str], Sound | None],
    secret: Callable[[str], str | None] = lambda _reference: None,
    state: Path | None = None,
    token_key: str | None = None,
) -> PhonePlan:
    """Return what the phone channel needs of ``config``; ``secret`` gives what ``env:X`` means.

    Without it nobody has a PIN; without ``state``, the folder of what we keep, nothing is recorded.
    Without ``token_key`` (``config.federation.token_key``) no call goes to another center.
    """
    served = queues_served(config)
    return PhonePlan(
        phones=tuple(
            Phone(
                agent_id=AgentId(name),
                interface=operator.interface,
                title=operator.title or operator.name,
                always=operator.login == "always",
                queues=served[name],
                pin=secret(operator.pin) if operator.pin is not None else None,
            )
            for name, operator in config.operators.items()
        ),
        entries={
            normalise(number).e164 or number: Entry(
                menu=model.ivr,
                queue=QueueId(model.queue) if model.queue else None,
                language=model.language,
                answer_by=model.answer,
            )
            for number, model in config.numbers.items()
        },
        voices={
            QueueId(name): QueueVoice(
                title=queue.title,
                musicclass=queue.musicclass,
                record=queue.record,
                record_notice=queue.record_notice,
                transfer_codes=queue.transfer_codes,
            )
            for name, queue in config.queues.items()
        },
        fallbacks={QueueId(name): FALLBACK_PREFIX + name for name in config.queues},
        members={
            AgentId(name): (FALLBACK_DEFAULT, *(FALLBACK_PREFIX + queue for queue in queues))
            for name, queues in served.items()
        },
        needs={
            QueueId(name): tuple(
                {SkillId(skill): level for skill, level in step.items()}
                for step in (queue.require, *(step.require for step in queue.relax))
            )
            for name, queue in config.queues.items()
        },
        language=config.center.languages[0],
        sounds=sounds,
        outbound=_outbound(config),
        second_lines=second_lines(config),
        second_line_of=_second_line_of(config),
        recordings=None if state is None else recordings_of(config, state),
        between=None
        if token_key is None
        else between_centers(config.center.name, token_key, center_trunks(config)),
    )


def _second_line_of(config: Config) -> dict[QueueId, QueueId]:
    """Return whom the citizens of each queue are handed on to."""
    lines = {name: service.second_line for name, service in config.services.items()}
    return {
        QueueId(name): QueueId(line)
        for name, queue in config.queues.items()
        if (line := lines.get(queue.service or "")) is not None and line != name
    }


def _outbound(config: Config) -> OutboundRules | None:
    """Return what operators may dial outside, if anything."""
    model = config.outbound
    if model is None:
        return None
    night = model.night
    return OutboundRules(
        allow=model.allow,
        deny=model.deny,
        dial=model.dial,
        caller_id=model.caller_id,
        ring_s=-(-model.ring // SECOND),
        max_s=-(-model.max_duration // SECOND),
        night=None
        if night is None
        else Night(from_min=night.from_, to_min=night.to, allow=night.allow),
        zone=ZoneInfo(config.center.timezone),
        record=model.record == "always",
    )


def thresholds_of(model: QueueThresholdsModel) -> Thresholds:
    """Return a queue's thresholds in the units of its row."""

    def band(bounds: Bounds | None, unit: int = 1) -> Band | None:
        if bounds is None:
            return None
        return Band(warn=bounds.warn / unit, bad=bounds.bad / unit)

    return Thresholds(
        waiting=band(model.waiting),
        longest_wait_s=band(model.longest_wait, SECOND),
        service_level=band(model.service_level),
        abandon_rate=band(model.abandon_rate),
    )


def directory_of(config: Config, folder: Path) -> Directory:
    """Return the names that people see behind the ids."""
    queues: Mapping[QueueId, QueueEntry] = {
        QueueId(name): QueueEntry(
            queue=QueueId(name),
            title=queue.title,
            servicelevel_us=queue.servicelevel,
            thresholds=thresholds_of(config.thresholds.of(name)),
        )
        for name, queue in config.queues.items()
    }
    served = queues_served(config)
    agents = {
        AgentId(name): AgentEntry(
            agent_id=AgentId(name),
            title=operator.name,
            interface=operator.interface,
            queues=served[name],
        )
        for name, operator in config.operators.items()
    }
    return Directory(
        center=config.center.name,
        title=config.center.title,
        timezone=config.center.timezone,
        config=str(folder.resolve()),
        config_version=config.version,
        queues=queues,
        agents=agents,
        skills=config.skills,
    )


def prompt_store(config: Config, folder: Path, state: Path) -> PromptStore:
    """Return the prompts of ``config``, which lies in ``folder``; rendered ones are kept."""
    texts = prompt_texts(
        builtin_texts(),
        {
            name: {k: v for k, v in (("ru", p.ru), ("en", p.en)) if v is not None}
            for name, p in config.prompts.items()
        },
    )
    tts = None if config.tts is None else TtsSettings(command=config.tts.command)
    return PromptStore(folder / "prompts", texts, cache=state / "prompts", tts=tts)


class Sounds:
    """The prompts of one config version with their length, each measured once."""

    def __init__(self, store: PromptStore) -> None:
        self._store = store
        self._known: dict[str, Sound] = {}

    def find(self, name: str, language: str) -> Sound | None:
        """Return one prompt; ``None`` when it cannot be had."""
        path = self._store.path(name, language)
        return None if path is None else self._measured(path)

    def phrase(self, names: Sequence[str], language: str) -> list[Sound]:
        """Return prompts to be played one after another; no number without all of its parts."""
        return [self._measured(path) for path in self._store.paths(names, language)]

    def spoken(self, text: str, language: str) -> Sound | None:
        """Return a text that was spoken for a broadcast; ``None`` when it cannot be had."""
        path = self._store.spoken(text, language)
        return None if path is None else self._measured(path)

    def _measured(self, path: str) -> Sound:
        sound = self._known.get(path)
        if sound is None:
            size = Path(f"{path}.alaw").stat().st_size
            sound = self._known[path] = Sound(path=path, seconds=size / ALAW_BYTES_PER_S)
        return sound
