"""What may stand in the config files: one model a section. Keys and defaults: routing-policy.md.

The words are Asterisk's where the meaning is the same. Durations are microseconds once read.
Cross checks between sections stand in ``checks.py``; the reference is docs/reference/config.md.
"""

from __future__ import annotations

import hashlib
from itertools import pairwise
from typing import Annotated, Final, Literal, Self

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator, model_validator

from gkc_engine.acd.settings import ContactClass, EmptyFactor, Medium, Ring, Strategy
from gkc_engine.config.alert_model import AlertModel, WebhookModel
from gkc_engine.config.calendar_model import CalendarModel
from gkc_engine.config.center_model import CenterModel
from gkc_engine.config.collector_model import CollectorModel
from gkc_engine.config.federation_model import FederationModel, OverflowRuleModel
from gkc_engine.config.guardrail_model import GuardrailModel
from gkc_engine.config.menu_model import ChoiceModel, Language, MenuModel
from gkc_engine.config.outbound_model import OutboundModel
from gkc_engine.config.policy_model import OwnServiceModel, PolicyModel
from gkc_engine.config.report_model import MailModel, RecipientModel, ReportModel
from gkc_engine.config.store import StoreModel
from gkc_engine.config.thresholds_model import ThresholdsModel
from gkc_engine.config.values import (
    ClockTime,
    Duration,
    Host,
    Interface,
    Level,
    Model,
    Name,
    Port,
    PositiveDuration,
    SecretRef,
    Slope,
    Text,
    expected,
)
from gkc_engine.ids import SECOND, Micros

__all__ = [
    "AlertModel",
    "CalendarModel",
    "ChoiceModel",
    "Config",
    "GuardrailModel",
    "Language",
    "MenuModel",
]

Levels = dict[Name, Level]
"""Skill → level."""


class AmiModel(Model):
    """Asterisk's manager interface."""

    host: Host = "127.0.0.1"
    port: Port = 5038
    user: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,40}$")] = "gkc"
    secret: SecretRef
    allow_broad: bool = False
    """Accept a manager user with the rights command, system, config or all."""


class FastAgiModel(Model):
    """Where the engine listens for Asterisk's calls."""

    host: Host = "127.0.0.1"
    port: Port = 4573


class PbxModel(Model):
    """The Asterisk that the engine is attached to."""

    ami: AmiModel
    fastagi: FastAgiModel = FastAgiModel()
    cel: Text | None = None
    """Asterisk's `legs.csv` (asterisk/README.md), read after a restart: what was missed."""
    cdr: Text | None = None
    """Asterisk's `calls.csv` (asterisk/README.md), read by `gkc records verify` alone."""
    asterisk: Text | None = None
    """Path of the asterisk program that `gkc demo` is to start; absent = found or installed."""
    emergency_context: Name | None = None
    """Asterisk's context in which 112 and 101-104 lead out; absent = they are refused."""


class NumberModel(Model):
    """Where the calls to one number lead: exactly one of ``ivr`` and ``queue``."""

    ivr: Name | None = None
    queue: Name | None = None
    answer: Literal["menu", "operator"] = "menu"
    """``operator``: not answered, so not paid for, until an operator answers."""
    language: Language | None = None
    title: Text | None = None

    @model_validator(mode="after")
    def _one_target(self) -> Self:
        if (self.ivr is None) == (self.queue is None):
            raise expected("exactly one of ivr: MENU and queue: QUEUE")
        return self


class RelaxModel(Model):
    """P3: from enqueue time + ``after`` on, ``require`` replaces the former requirement."""

    after: PositiveDuration
    require: Levels


class TreatmentModel(Model):
    """What a citizen gets who is not to wait (any longer)."""

    say: Name | None = None
    """A prompt."""
    then: str = "hangup"
    """``hangup`` or ``queue NAME``."""

    @field_validator("then")
    @classmethod
    def _way_on(cls, value: str) -> str:
        word, _, name = value.partition(" ")
        if value != "hangup" and (word != "queue" or not name or " " in name):
            raise expected("hangup, or queue and a queue's name")
        return value

    @property
    def queue(self) -> str | None:
        """The queue that the citizen moves to, if any."""
        return self.then.removeprefix("queue ") if self.then != "hangup" else None


class PreferModel(Model):
    """P7: for a while only the operator who last served this citizen in this service."""

    operator: Literal["last"] = "last"
    for_: Annotated[PositiveDuration, Field(alias="for")]
    window: PositiveDuration


_HALF: Final = (EmptyFactor.PAUSED, EmptyFactor.INVALID)
_BOTH: Final[dict[str, tuple[EmptyFactor, ...]]] = {
    "loose": (EmptyFactor.INVALID,),
    "strict": (EmptyFactor.PAUSED, EmptyFactor.INVALID, EmptyFactor.UNAVAILABLE),
}
EMPTY_WORDS: Final[dict[str, dict[str, tuple[EmptyFactor, ...]]]] = {
    "joinempty": {"yes": (), "no": _HALF, **_BOTH},
    "leavewhenempty": {"yes": _HALF, "no": (), **_BOTH},
}
"""Asterisk's short words (``parse_empty_options`` in app_queue.c) as lists of factors.

Without ``penalty``, which they all hold there: who may serve is said by requirements here.
"""


def _no_penalty(value: object) -> object:
    if value == "penalty":
        raise expected("a state without penalty: who may serve stands in require and relax")
    return value


Empty = tuple[Annotated[EmptyFactor, BeforeValidator(_no_penalty)], ...]
Announce = Annotated[Duration, Field(description="0s = never.")]


class QueueModel(Model):
    """Where one kind of contact waits."""

    title: Text
    service: Name | None = None
    medium: Medium = Medium.VOICE
    require: Levels = Field(default_factory=dict)
    """Who may serve: every named skill at least at the named level. Nothing named: everybody."""
    relax: tuple[RelaxModel, ...] = ()
    strategy: Strategy = Strategy.LONGEST_IDLE
    ring: Ring = Ring.ONE
    contact_class: Annotated[ContactClass, Field(alias="class")] = ContactClass.NORMAL
    head_start: Duration = Micros(0)
    slope: Slope = 1000
    timeout: PositiveDuration = Micros(20 * SECOND)
    """How long one operator's phone rings before the contact is offered to the next."""
    wrapuptime: Duration = Micros(0)
    same_agent_after: Duration = Micros(30 * SECOND)
    reject_delay: Duration = Micros(10 * SECOND)
    busy_delay: Duration = Micros(10 * SECOND)
    no_answer_delay: Duration = Micros(10 * SECOND)
    unreachable_delay: Duration = Micros(30 * SECOND)
    servicelevel: PositiveDuration = Micros(20 * SECOND)
    short_abandon: Duration = Micros(5 * SECOND)
    maxlen: Annotated[int, Field(ge=0, le=100_000)] | None = None
    """Waiting room. 0 = served at once or refused (not as in Asterisk); absent = no limit."""
    maxwait: PositiveDuration | None = None
    maxwait_unstaffed: PositiveDuration | None = None
    joinempty: Empty = ()
    """States in which an operator is no help; when all are in one, no citizen is let in."""
    leavewhenempty: Empty = ()
    """The same for citizens who wait: they are sent on."""
    return_after: PositiveDuration = Micros(60 * SECOND)
    """Of a second line: who was handed on and is not answered in this time goes back."""
    resume_within: Duration = Micros(0)
    """Who was cut off while he waited and calls again so soon has his old place; 0s = off."""
    prefer: PreferModel | None = None
    hours: Name | None = None
    """A calendar; absent = always open."""
    fallback: Name | None = None
    """The queue that waiting contacts move to when this queue is removed."""
    full: TreatmentModel = TreatmentModel()
    closed: TreatmentModel = TreatmentModel()
    at_closing: Literal["serve", "leave"] = "serve"
    """Whether those who wait when the hours end are served, or get ``closed`` too."""
    emergency_closed: TreatmentModel = TreatmentModel()
    """What citizens get while ``gkc queue close`` holds."""
    timed_out: TreatmentModel = TreatmentModel()
    unstaffed: TreatmentModel = TreatmentModel()
    musicclass: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,40}$")] = "default"
    announce_frequency: Annotated[Duration, Field(alias="announce-frequency")] = Micros(0)
    """How often the place and the expected wait are told; 0s = never."""
    min_announce_frequency: Annotated[Duration, Field(alias="min-announce-frequency")] = Micros(
        15 * SECOND
    )
    announce_position: Annotated[
        Literal["yes", "no", "limit", "more"], Field(alias="announce-position")
    ] = "yes"
    announce_holdtime: Annotated[Literal["yes", "no", "once"], Field(alias="announce-holdtime")] = (
        "yes"
    )
    announce_position_limit: Annotated[
        int, Field(alias="announce-position-limit", ge=1, le=1000)
    ] = 20
    periodic_announce: Annotated[Name | None, Field(alias="periodic-announce")] = None
    periodic_announce_frequency: Annotated[Duration, Field(alias="periodic-announce-frequency")] = (
        Micros(0)
    )
    record: Literal["always", "never", "on-demand"] = "never"
    record_notice: Name | None = None
    """The prompt that tells the citizen, before the talk, that it is recorded."""
    transfer_codes: bool = False
    """Whether operators may transfer with ``##`` (blind) beside their phones' own keys."""

    @field_validator("joinempty", "leavewhenempty", mode="before")
    @classmethod
    def _empty_words(cls, value: object, info: ValidationInfo) -> object:
        words = EMPTY_WORDS[str(info.field_name)]
        if isinstance(value, list):
            return tuple(value)
        if isinstance(value, str) and value in words:
            return words[value]
        raise expected("yes, no, loose, strict, or a list of states such as [paused, unavailable]")

    @field_validator("relax")
    @classmethod
    def _ascending(cls, steps: tuple[RelaxModel, ...]) -> tuple[RelaxModel, ...]:
        if any(a.after >= b.after for a, b in pairwise(steps)):
            raise expected("steps in ascending order of after, no two alike")
        return steps


class OperatorModel(Model):
    """A person who answers (in code: an agent)."""

    name: Text
    """As colleagues and reports know him."""
    title: Text | None = None
    interface: Interface
    skills: Levels = Field(default_factory=dict)
    login: Literal["phone", "always"] = "phone"
    """``phone``: logs in with *45; ``always``: at work as long as the engine runs."""
    pin: SecretRef | None = None
    """For hot-desking (``*45PIN``)."""
    secret: SecretRef | None = None
    """The phone's SIP password, for `gkc pbx config`."""
    capacity: dict[Medium, Annotated[int, Field(ge=0, le=100)]] = Field(
        default_factory=lambda: {Medium.VOICE: 1}, min_length=1
    )
    """Contacts at a time, by medium."""


class PromptModel(Model):
    """What is said, in each language. The sound: ``DIR/prompts/LANGUAGE/NAME.alaw``."""

    ru: Text | None = None
    en: Text | None = None


class RecordingModel(Model):
    """Where talks are recorded; whether, each queue says."""

    path: Text = "recordings"
    """A folder that Asterisk may write; a relative path lies under the engine's state folder."""
    format: Literal["wav", "alaw"] = "wav"


class RetentionModel(Model):
    """How long what is known of citizens is kept (152-ФЗ); a key that is absent: for ever."""

    at: ClockTime = 220
    """When the nightly run begins."""
    citizens: PositiveDuration | None = None
    """Telephone numbers, names, addresses: so long after the citizen's last contact."""
    recordings: PositiveDuration | None = None
    """Recorded talks, by the day of the talk."""
    legs: PositiveDuration | None = None
    """Telephone numbers in Asterisk's lists (`pbx.cel`, `pbx.cdr`), rotated ones too: masked."""
    files: dict[Text, PositiveDuration] = Field(default_factory=dict)
    """Glob pattern of absolute paths → how old a file may become: rotated logs, exports."""

    @field_validator("files")
    @classmethod
    def _absolute(cls, files: dict[str, Micros]) -> dict[str, Micros]:
        if not all(pattern.startswith("/") and pattern.strip("/*. ") for pattern in files):
            raise expected("patterns of absolute paths such as /var/log/asterisk/legs.csv.*")
        return files


class MetricsModel(Model):
    """Where Prometheus fetches."""

    host: Host = "127.0.0.1"
    port: Port = 9469


class TtsModel(Model):
    """How new prompts are spoken: a program, run without a shell."""

    command: Annotated[tuple[Text, ...], Field(min_length=1)]
    """Words of the command; ``{language}`` and ``{file}`` are replaced, the text is its stdin."""


class Config(Model):
    """The whole tree, every ``*.yaml`` of the folder together."""

    center: CenterModel
    pbx: PbxModel
    numbers: Annotated[dict[str, NumberModel], Field(min_length=1)]
    """Dialled number, in any spelling that comes to one E.164 number → where it leads."""
    skills: dict[Name, Text] = Field(default_factory=dict)
    services: dict[Name, OwnServiceModel] = Field(default_factory=dict)
    queues: Annotated[dict[Name, QueueModel], Field(min_length=1)]
    operators: Annotated[dict[Name, OperatorModel], Field(min_length=1)]
    ivr: dict[Name, MenuModel] = Field(default_factory=dict)
    calendars: dict[Name, CalendarModel] = Field(default_factory=dict)
    prompts: dict[Name, PromptModel] = Field(default_factory=dict)
    guardrails: dict[Name, GuardrailModel] = Field(default_factory=dict)
    """Queue → what `gkc plan` holds a change against."""
    outbound: OutboundModel | None = None
    thresholds: ThresholdsModel = ThresholdsModel()
    """From where on a queue is in trouble: for the wallboard, dashboards and alert rules."""
    recording: RecordingModel = RecordingModel()
    store: StoreModel = StoreModel()
    retention: RetentionModel = RetentionModel()
    metrics: MetricsModel = MetricsModel()
    mail: MailModel | None = None
    recipients: dict[Name, RecipientModel] = Field(default_factory=dict)
    reports: Annotated[tuple[ReportModel, ...], Field(max_length=200)] = ()
    tts: TtsModel | None = None
    alerts: Annotated[tuple[AlertModel, ...], Field(max_length=1000)] = ()
    webhooks: dict[Name, WebhookModel] = Field(default_factory=dict)
    federation: FederationModel | None = None
    """The other centers of the city. A center without this section runs alone."""
    overflow: Annotated[tuple[OverflowRuleModel, ...], Field(max_length=200)] = ()
    """Whose operators may answer too; of each queue the first rule that applies here holds."""
    collector: CollectorModel | None = None
    """Of the city's config alone: what brings the records of all centers into one store."""
    policy: PolicyModel | None = None
    """What the city asks of every center; compared with the rest, decides nothing by itself."""

    @property
    def tree(self) -> str:
        """The whole tree as canonical JSON; durations in microseconds, secrets as references."""
        return self.model_dump_json(by_alias=True)

    @property
    def version(self) -> str:
        """Hash of the canonical tree: the same for the same decisions, however written."""
        return tree_hash(self)


def tree_hash(config: Config) -> str:
    """Return 16 hex digits of SHA-256 over the canonical JSON of ``config``.

    The order of queues and operators is a tie-break, so order counts; comments do not.
    """
    return hashlib.sha256(config.tree.encode()).hexdigest()[:16]
