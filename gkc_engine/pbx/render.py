"""Writes Asterisk's side from `PbxPlan`: the include files, or a whole ``etc`` of our own.

A file that an administrator owns is never touched: one without our first line is refused.
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

import jinja2

from gkc_engine.errors import ConfigError
from gkc_engine.numbers import CAUSE_HANDED_BACK, HAND_BACK_CODE, SECOND_LINE_CODE
from gkc_engine.pbx.model import OutsidePlan, PbxPlan, check_secret
from gkc_engine.pbx.music import write_music

if TYPE_CHECKING:
    from gkc_engine.pbx.install import Install

HEADER: Final = "; gkc: generated file. Changes made here are lost: change the config instead."
INCLUDE_FILES: Final = (
    *("extensions", "pjsip", "queues", "manager", "features"),
    *("cel_custom", "cdr_custom"),
)
SECRET_FILES: Final = frozenset({"manager.conf", "pjsip.conf"})
STANDALONE_FILES: Final = (
    *("asterisk", "modules", "logger", "extensions", "pjsip", "queues", "manager", "musiconhold"),
    *("features", "rtp", "cel", "cel_custom", "cdr", "cdr_custom", "indications", "http"),
)
OUTSIDE_FILES: Final = ("extensions", "pjsip", "manager")
EMPTY_FILES: Final = (
    *("acl", "ccss", "cli", "cli_aliases", "cli_permissions", "codecs", "pjproject", "queuerules"),
    *("stasis", "udptl", "websocket_client", "res_parking", "sorcery", "extconfig"),
)
"""Asterisk says an error about each that is absent; empty means its own defaults."""

UNREAD_EVENTS: Final = (
    *("VarSet", "Newexten", "Newstate", "NewCallerid", "NewConnectedLine", "RTCPSent"),
    *("RTCPReceived", "TestEvent", "QueueMemberStatus", "HangupRequest", "SoftHangupRequest"),
    *("AGIExecStart", "AGIExecEnd", "MusicOnHoldStart", "MusicOnHoldStop"),
    *("BridgeCreate", "BridgeDestroy", "BridgeLeave"),
)
"""Manager events that the engine has no use for; three of four of what a call makes.

Filtered out of its own link everywhere. On an Asterisk that is ours alone they are not even made:
each that is made wakes every manager session, filter or no filter (1 ms of CPU a call)."""

MODULES: Final = (
    *("res_timing_timerfd", "res_sorcery_config", "res_sorcery_memory", "res_sorcery_astdb"),
    *("res_http_websocket", "res_crypto", "res_musiconhold", "res_rtp_asterisk"),
    *("res_speech", "res_agi", "res_pjproject", "res_pjsip", "res_pjsip_session"),
    *("res_pjsip_sdp_rtp", "res_pjsip_caller_id", "res_pjsip_endpoint_identifier_ip"),
    *("res_pjsip_endpoint_identifier_user", "res_pjsip_authenticator_digest"),
    *("res_pjsip_registrar", "res_pjsip_header_funcs", "res_pjsip_nat", "res_pjsip_rfc3326"),
    *("res_pjsip_refer", "res_pjsip_dtmf_info", "res_pjsip_logger", "res_pjsip_pubsub"),
    *("res_pjsip_acl", "res_pjsip_maintenance", "res_pjsip_diversion", "res_pjsip_path"),
    *("res_pjsip_outbound_authenticator_digest", "res_pjsip_outbound_registration"),
    *("chan_pjsip", "bridge_simple", "bridge_native_rtp", "bridge_holding", "bridge_softmix"),
    *("bridge_builtin_features", "chan_bridge_media", "codec_ulaw", "codec_alaw", "codec_gsm"),
    *("codec_resample", "format_pcm", "format_wav", "format_gsm", "format_sln", "pbx_config"),
    *(
        "app_dial",
        "app_queue",
        "app_controlplayback",
        "app_exec",
        "app_playback",
        "app_playtones",
        "app_stack",
        "app_userevent",
    ),
    *("app_verbose", "app_echo", "app_senddtmf", "app_read", "app_mixmonitor", "app_chanspy"),
    *("app_transfer", "app_originate", "app_while", "func_callerid", "func_channel", "func_logic"),
    *(
        "func_strings",
        "func_global",
        "func_devstate",
        "func_dialplan",
        "func_timeout",
        "func_hangupcause",
    ),
    *("func_pjsip_endpoint", "func_math", "func_rand", "func_groupcount", "func_cdr"),
    *(
        "func_cut",
        "res_clioriginate",
        "res_manager_devicestate",
        "res_cdrel_custom",
        "cel_custom",
        "cdr_custom",
    ),
)
"""With ``autoload = no``; the order is part of it (see the template)."""

_ESCAPE: Final = str.maketrans({'"': "'", "\\": "/", "<": "(", ">": ")", ";": ",", "$": None})


class Directories:
    """The folders of one Asterisk of ours, all under ``base``."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.etc = base / "etc"
        self.lib = base / "lib"
        self.spool = base / "spool"
        self.log = base / "log"
        self.cache = base / "cache"
        self.run = base / "run"
        # Its control socket lies there, and the path of a UNIX socket holds at most 107 bytes.
        if len(os.fsencode(self.run / "asterisk.ctl")) > 100:
            digest = hashlib.sha256(os.fsencode(base)).hexdigest()[:12]
            self.run = Path(tempfile.gettempdir()) / f"gkc-{os.getuid()}-{digest}"

    def make(self) -> None:
        """Create every folder, readable by this user only.

        Raises:
            ConfigError: another user has put a folder where ours was to be.
        """
        names = ("lib", "lib/keys", "lib/agi-bin", "spool", "spool/monitor", "log", "cache")
        for name in (*names, "log/cel-custom", "log/cdr-custom", "etc", "etc/gkc.d", "run"):
            (self.base / name).mkdir(mode=0o700, parents=True, exist_ok=True)
        self.run.mkdir(mode=0o700, exist_ok=True)
        if self.run.is_symlink() or self.run.stat().st_uid != os.getuid():
            raise ConfigError(f"{self.run}: belongs to another user; move it away")


def templates_dir() -> Path:
    """Return ``asterisk/templates``: of the checkout, or of the installed package."""
    here = Path(__file__).resolve().parent
    for folder in (here.parents[1] / "asterisk" / "templates", here / "asterisk" / "templates"):
        if folder.is_dir():
            return folder
    raise ConfigError("asterisk/templates is missing from this installation of gkc")


def conf_value(value: object) -> str:
    """Return ``value`` as the right side of a line in an Asterisk file.

    Raises:
        ConfigError: it holds a control character or ``${``, which no escape makes harmless.
    """
    text = str(value)
    if not text.isprintable() or "${" in text or "$[" in text or text != text.strip():
        raise ConfigError(f"found {text!r}, expected a value without control characters or ${{")
    return text.replace("\\", "\\\\").replace(";", "\\;")


def caller_name(value: str) -> str:
    """Return a title as a name between quotes: what could end or expand it is replaced.

    Raises:
        ConfigError: it holds a control character.
    """
    value = value.replace("\N{NO-BREAK SPACE}", " ")
    if not value.isprintable():
        raise ConfigError(f"title: found {value!r}, expected one line of text")
    return value.translate(_ESCAPE).strip()[:80]


def _secret(value: str) -> str:
    check_secret(value, "secret")
    return value


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(templates_dir()),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,  # Not HTML: every value passes model.py or a filter below.
    )
    environment.globals.update(unread_events=UNREAD_EVENTS, quiet_line=QUIET_LINE)
    environment.globals.update(
        second_line_code=SECOND_LINE_CODE,
        hand_back_code=HAND_BACK_CODE,
        cause_handed_back=CAUSE_HANDED_BACK,
    )
    environment.filters.update(conf=conf_value, caller_name=caller_name, secret=_secret)
    return environment


def _render(template: str, **values: object) -> str:
    text = _environment().get_template(template + ".j2").render(**values)
    return f"{HEADER}\n{text.rstrip()}\n"


def include_side(plan: PbxPlan) -> dict[str, str]:
    """Return ``gkc.d/NAME.conf`` -> text: what an administrator includes into his files."""
    agi = f"agi://{plan.fastagi_host}:{plan.fastagi_port}"
    return {
        f"gkc.d/{name}.conf": _render(f"gkc.d/{name}.conf", plan=plan, agi=agi)
        for name in INCLUDE_FILES
    }


def write_files(files: Mapping[str, str], folder: Path) -> list[Path]:
    """Write ``files`` (relative name -> text) under ``folder``, each atomically.

    Those with secrets get mode 0640, the others 0644. Nothing is written when one is refused.

    Raises:
        ConfigError: a file is there that does not begin with our line.
    """
    targets = {folder / name: text for name, text in files.items()}
    for target in targets:
        if target.exists() and not _ours(target):
            raise ConfigError(f"{target}: not written by gkc, so it stays; move it away first")
    for target, text in targets.items():
        target.parent.mkdir(parents=True, exist_ok=True)
        mode = 0o640 if target.name in SECRET_FILES else 0o644
        draft = target.with_name(f".{target.name}.{os.getpid()}")
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            os.fchmod(file.fileno(), mode)
            file.write(text)
        draft.replace(target)
    return list(targets)


def _ours(path: Path) -> bool:
    with path.open("rb") as file:
        return file.readline().rstrip(b"\r\n") == HEADER.encode()


def write_include_side(plan: PbxPlan, out: Path) -> list[Path]:
    """Write ``OUT/gkc.d/*.conf`` for an administrator's own Asterisk; return the paths."""
    return write_files(include_side(plan), out)


def include_lines() -> dict[str, str]:
    """Return the administrator's file -> the line that he adds at its end."""
    return {f"{name}.conf": f"#include gkc.d/{name}.conf" for name in INCLUDE_FILES}


GENERAL_LINES: Final = {
    "manager.conf": (
        "enabled = yes",
        "timestampevents = yes",
        "channelvars = GKC_CONTACT,GKC_ENQ",
    ),
    "queues.conf": ("persistentmembers = yes",),
    "cel.conf": ("enable = yes", "events = CHAN_START,ANSWER,HANGUP", "dateformat = %s.%6q"),
    "cdr.conf": ("enable = yes", "unanswered = yes"),
}
"""What only ``[general]`` can say, and that is the administrator's."""

MAPPINGS: Final = ("cel_custom.conf", "cdr_custom.conf")
"""Our lines go into their section ``[mappings]``; Asterisk 22's samples have it as a comment."""


def name_line(plan: PbxPlan) -> str | None:
    """Return the line for ``[options]`` of ``asterisk.conf``; ``None``: this center is alone.

    Without it two centers' Asterisks give calls the same Uniqueids.
    """
    return f"systemname = {plan.center}" if plan.centers else None


QUIET_LINE: Final = f"disabledevents = {','.join(UNREAD_EVENTS)}"
"""For ``[general]`` of a ``manager.conf`` whose events nobody but the engine reads."""

RELOAD_LINES: Final = tuple(
    f'asterisk -rx "{command}"'
    for command in (
        *("dialplan reload", "module reload res_pjsip.so", "queue reload all"),
        *("manager reload", "module reload features", "module reload cel", "module reload cdr"),
        *("module reload cel_custom.so", "module reload cdr_custom.so"),
    )
)


def render_standalone(plan: PbxPlan, *, install: Install, run_dir: Path) -> Path:
    """Write a whole Asterisk of our own under ``run_dir``; return its ``etc``."""
    music_dir = plan.music_dir or write_music(run_dir.resolve() / "music")
    return _whole(
        include_side(plan),
        run_dir,
        install,
        plan=plan,
        systemname=plan.center,
        language=plan.language,
        rtp_start=plan.rtp_start,
        rtp_end=plan.rtp_end,
        verbose=plan.verbose,
        cdr=plan.cdr,
        music_dir=music_dir,
    )


def render_outside(plan: OutsidePlan, *, install: Install, run_dir: Path) -> Path:
    """Write the outside world's Asterisk (telephone network and phones); return its ``etc``."""
    return _whole(
        {},
        run_dir,
        install,
        plan=plan,
        systemname="outside",
        language="ru",
        rtp_start=plan.rtp_start,
        rtp_end=plan.rtp_end,
        verbose=plan.verbose,
        cdr=True,
        quick_register=_version(install) >= (20, 1),
        outside=True,
    )


def _version(install: Install) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", install.version)[:2])


def _modules(install: Install) -> list[str]:
    # res_cdrel_custom came with 22; before, cel_custom and cdr_custom stand alone.
    old = install.modules.is_dir() and not (install.modules / "res_cdrel_custom.so").exists()
    return [name for name in MODULES if not (old and name == "res_cdrel_custom")]


def _whole(
    files: dict[str, str],
    run_dir: Path,
    install: Install,
    *,
    outside: bool = False,
    **values: object,
) -> Path:
    dirs = Directories(run_dir.resolve())
    dirs.make()
    skipped = {"queues", "musiconhold", "features"} if outside else set()
    for name in STANDALONE_FILES:
        if name in skipped:
            files[f"{name}.conf"] = f"{HEADER}\n"
            continue
        folder = "outside" if outside and name in OUTSIDE_FILES else "standalone"
        files[f"{name}.conf"] = _render(
            f"{folder}/{name}.conf",
            dirs=dirs,
            modules=_modules(install),
            install=install,
            outside=outside,
            **values,
        )
    files.update({f"{name}.conf": f"{HEADER}\n" for name in EMPTY_FILES})
    write_files(files, dirs.etc)
    return dirs.etc
