"""The act of destruction: what was destroyed, where, when, why and on whose word; no personal data.

After order 179 of Roskomnadzor of 28 October 2022: an act and an extract of the log. Both are one
file here, in Russian for people, and the same as JSON for programs.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

import msgspec

from gkc_engine.ids import SECOND, Instant
from gkc_engine.recorder.queries import iso

CLASSES: Final[Mapping[str, str]] = {
    "citizens": "номера телефонов, имена и адреса граждан (таблица citizen, её ключи citizen_key)",
    "blocks": "записи в списке запрещённых номеров (таблица block)",
    "recordings": "записи разговоров",
    "legs": "номера телефонов в списках вызовов Asterisk (закрашены на месте)",
    "files": "файлы, срок хранения которых истёк",
}
"""What is kept under each key of ``retention:``; ``blocks`` go with their citizen only."""


@dataclass(slots=True, kw_only=True)
class Act:
    """One destruction, by the nightly run or on somebody's word."""

    at: Instant
    actor: str
    reason: str
    citizen: str | None = None
    """The key of the one citizen it is about; ``None``: everybody whose time was over."""
    destroyed: dict[str, int] = field(default_factory=dict)
    """Class → how many citizens, recordings, numbers, files."""
    places: dict[str, int] = field(default_factory=dict)
    """File → how much was destroyed in it, also 0: it was looked at."""
    left: list[str] = field(default_factory=list)
    """What could not be destroyed, and why: to be done by hand, or by the next run."""

    def add(self, kind: str, count: int) -> None:
        """Count what was destroyed."""
        self.destroyed[kind] = self.destroyed.get(kind, 0) + count

    @property
    def anything(self) -> bool:
        """Whether there is something to be put on record."""
        return any(self.destroyed.values()) or bool(self.left)

    @property
    def row(self) -> dict[str, object]:
        """As the commands and the JSON show it."""
        return {
            "at": iso(self.at),
            "actor": self.actor,
            "reason": self.reason,
            "citizen": self.citizen,
            **{kind: self.destroyed.get(kind, 0) for kind in CLASSES},
            "places": self.places,
            "left": self.left,
        }


def text_of(act: Act, center: str, zone: ZoneInfo) -> str:
    """Return the act as people sign it."""
    at = datetime.fromtimestamp(act.at / SECOND, UTC).astimezone(zone)
    of = "граждане, срок хранения данных которых истёк"
    if act.citizen is not None:
        of = f"гражданин с ключом {act.citizen}"
    lines = [
        "АКТ об уничтожении персональных данных",
        "",
        f"Дата и время: {at:%d.%m.%Y %H:%M:%S} ({zone.key})",
        f"Оператор: {center}",
        f"Основание: {act.reason}",
        f"Исполнитель: {act.actor}",
        f"Субъекты: {of}",
        "Информационная система: GKC, записи контакт-центра",
        "Способ: ключи шифрования и строки удалены, файлы удалены, номера в файлах закрашены",
        "",
        "Уничтожено:",
        *(f"- {said}: {act.destroyed.get(kind, 0)}" for kind, said in CLASSES.items()),
        "",
        "Просмотрено (выписка из журнала):",
        *(f"- {place}: {count}" for place, count in sorted(act.places.items())),
    ]
    if act.left:
        lines += ["", "НЕ уничтожено:", *(f"- {one}" for one in act.left)]
    lines += ["", "Подпись: ______________________", ""]
    return "\n".join(lines)


def write(act: Act, folder: Path, center: str, zone: ZoneInfo) -> Path:
    """Write the act beside its JSON, durably; return the path of the text."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    stem = iso(act.at).replace(":", "-")
    kind = "erasure" if act.citizen is not None else "retention"
    path = folder / f"{stem}-{kind}.txt"
    _durable(path.with_suffix(".json"), msgspec.json.encode(act.row))
    _durable(path, text_of(act, center, zone).encode())
    return path


def _durable(path: Path, data: bytes) -> None:
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
