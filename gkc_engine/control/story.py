"""One contact as a story to the second: what happened when, from its row, segments and offers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from gkc_engine.control.when import from_iso, local_time, offset, span
from gkc_engine.ids import ABROAD, Instant

Record = Mapping[str, Any]

_OFFER_ENDS: Mapping[str, str] = {
    "accepted": "answers",
    "refused": "declines",
    "no_answer": "does not answer",
    "busy": "is busy",
    "unreachable": "cannot be reached",
    "withdrawn": "stops ringing: the citizen left",
    "rescinded": "stops ringing: taken back by us",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """One line of the story."""

    at: Instant
    iso: str
    text: str


def moments(contact: Record) -> list[Moment]:
    """Return everything on record about ``contact``, in order of time.

    ``contact`` is the row of ``contact.show``: columns of the contact table, with ``segments``,
    ``offers_list``, ``agent_intervals`` and the ledger's ``events``.
    """
    told: list[tuple[str, str]] = [(contact["started"], _arrival(contact))]
    # What happened stands before the stretch of time that it began.
    for event in contact.get("events") or ():
        told.extend(_event(event))
    for offer in contact.get("offers_list") or ():
        told.extend(_offer(offer))
    for segment in contact.get("segments") or ():
        told.extend(_segment(segment, out=contact.get("direction") == "out"))
    if contact.get("ended"):
        told.append((contact["ended"], _end(contact)))
    for interval in contact.get("agent_intervals") or ():
        told.extend(_wrap_up(interval))
    # Stable: what happened in the same microsecond stays in the order of cause and effect above.
    lines = [Moment(at=from_iso(when), iso=when, text=text) for when, text in told]
    return sorted(lines, key=lambda moment: moment.at)


def _arrival(contact: Record) -> str:
    if contact.get("direction") == "consult":
        of = f"center {contact['owner']}, about contact {contact['origin']} there"
        return f"an operator is kept free to advise an operator of {of}"
    if contact.get("owner"):
        known = _citizen(contact)
        of = f" of {known}" if known else ""
        return f"an operator is kept free for a contact{of} that center {contact['owner']} has"
    if contact.get("direction") == "out":
        return f"{contact['agent_id']} calls {_citizen(contact) or 'a number that is withheld'}"
    text = f"reaches us by {contact['medium']}"
    if contact.get("did"):
        text += f", dialled {contact['did']}"
    known = _citizen(contact)
    return f"{text}, from {known}" if known else text


def _citizen(contact: Record) -> str:
    if contact.get("citizen_number"):
        name = f" ({contact['citizen_name']})" if contact.get("citizen_name") else ""
        return f"{contact['citizen_number']}{name}"
    if contact.get("citizen_id"):
        # The key's beginning tells one citizen from another, and nobody who it is.
        return f"citizen {contact['citizen_id'][:8]}"
    return ""


def _with(agent: str | None) -> str:
    return f" with {_named(agent)}" if agent else ""


def _named(agent: str) -> str:
    """Return what an operator is called: another center's with his center."""
    center, _, there = agent.partition(ABROAD)
    return f"operator {there} of center {center}" if there else agent


def _segment(segment: Record, *, out: bool) -> list[tuple[str, str]]:
    begins = _begins(segment, out=out)
    if begins is None:
        return []
    lasted = span((from_iso(segment["end"]) - from_iso(segment["start"])) / 1_000_000)
    if segment["kind"] == "consult" and segment.get("party") != "citizen":
        return [(segment["start"], f"{begins}: {lasted}")]
    reason = f" ({segment['end_reason']})" if segment.get("end_reason") else ""
    return [(segment["start"], f"{begins}: {lasted}, then {segment['outcome']}{reason}")]


def _begins(segment: Record, *, out: bool) -> str | None:
    """Return how a segment begins; ``None`` for what offers and agents' states tell."""
    queue, agent, step = segment.get("queue"), segment.get("agent_id"), segment.get("step")
    kind = str(segment["kind"])
    outside = out or segment.get("citizen_id")
    if kind == "wrap_up" or (kind == "ring" and not outside):
        return None
    words = {
        "queue": f"waits in {queue}" + (f", requirement step {step}" if step else ""),
        "ring": "the called phone rings",
        "talk": "talk" + _with(agent),
        "hold": "on hold" + (f", by {_named(agent)}" if agent else ""),
        "transit": "is on its way from its center",
        "parked": "is parked" + (f": a call interrupts {agent}" if agent else ""),
        "fallback": "waits in Asterisk's own queue: the engine was away",
        "external": "talk with an outside party after a transfer",
        "consult": f"{agent} advises an operator of its center"
        if segment.get("party") == "citizen"
        else f"{agent} {_CONSULTS.get(segment.get('end_reason', ''), 'consults')}",
    }
    return words.get(kind, kind)


def _offer(offer: Record) -> list[tuple[str, str]]:
    agent, elsewhere = _named(offer["agent_id"]), ABROAD in offer["agent_id"]
    sent = f"is sent to center {offer['agent_id'].partition(ABROAD)[0]}, to {agent}"
    head = f"{sent} (offer {offer['offer_id']})" if elsewhere else ""
    told = [(offer["created"], head or f"offer {offer['offer_id']} to {agent}")]
    if offer.get("ringing"):
        told.append((offer["ringing"], f"{agent}'s phone rings"))
    if offer.get("ended"):
        outcome = offer["outcome"]
        reason = f" ({offer['reason']})" if offer.get("reason") else ""
        back = elsewhere and outcome not in ("accepted", "withdrawn")
        where = "; it comes back to its place here" if back else ""
        text = f"{agent} {_OFFER_ENDS.get(outcome, outcome)}{reason}{where}"
        told.append((offer["ended"], text))
    return told


def _wrap_up(interval: Record) -> list[tuple[str, str]]:
    if interval["state"] != "wrap_up" or not interval.get("end"):
        return []
    lasted = span((from_iso(interval["end"]) - from_iso(interval["start"])) / 1_000_000)
    return [(interval["start"], f"{interval['agent_id']} wraps up: {lasted}")]


_CONSULTS: Mapping[str, str] = {"consult": "asks a colleague", "consulted": "is asked"}

_EVENTS: Mapping[str, str] = {
    "gkc.contact.blocked": "is on the block list",
    "gkc.contact.language_chosen": "chooses language {language}",
    "gkc.contact.article_heard": "hears article {article}",
    "gkc.contact.menu_answered": "presses {digit} in menu {menu}",
    "gkc.contact.wait_told": "is told how long to wait: {told}",
    "gkc.recording.started": "is recorded: {path}",
    "gkc.contact.queue_requested": "asks for {queue}",
    "gkc.contact.priority": "goes on with class {contact_class}",
    "gkc.contact.step_reached": "may be answered by requirement step {step} from here on",
    "gkc.contact.detached": "goes on in Asterisk's own queue; the place is kept",
    "gkc.contact.attached": "is taken back by the engine",
    "gkc.contact.fallback_answered": "is answered through Asterisk's own queue by {agent_id}",
    "gkc.contact.treat": "hears that it ends as {disposition}",
    "gkc.recording.paused": "recording paused: {paused}",
    "gkc.transfer.completed": "{from_agent} hands over to {to_agent}",
    "gkc.transfer.outside": "{from_agent} puts him through to a number outside",
    "gkc.transfer.requested": "{from_agent} transfers to {to_agent}{to_queue}",
    "gkc.overflow.granted": "center {center} keeps {agent} free for it{why}",
    "gkc.overflow.release": "is not sent to center {center} after all: {reason}",
    "gkc.guest.asked": "its center asks for an operator: it has waited {waited} there{brief}",
    "gkc.guest.arrived": "its line comes from its center",
    "gkc.guest.released": "its center does not send it after all: {reason}",
    "gkc.guest.refuse": "goes back to its center: {reason}",
    "gkc.contact.wrap_up_result": "{agent_id} gives result code {code}",
}
"""Of the ledger's events those that segments and offers do not tell."""


class _Blank(dict[str, Any]):
    def __missing__(self, key: str) -> str:
        return ""


def _event(event: Record) -> list[tuple[str, str]]:
    pattern = _EVENTS.get(event["kind"])
    if pattern is None:
        return []
    known = {key: value for key, value in (event.get("data") or {}).items() if value is not None}
    if event["kind"] == "gkc.contact.wait_told":
        known["told"] = _wait(known)
    elif event["kind"] == "gkc.overflow.granted":
        known |= {"agent": _named(known["agent_id"]), "why": _why(known)}
    elif event["kind"] == "gkc.guest.asked":
        known |= {"waited": span(known["waited_us"] / 1_000_000), "brief": _brief(known)}
    return [(event["ts"], pattern.format_map(_Blank(known)))]


def _why(granted: Record) -> str:
    """Return why it is sent there and not to another center, as far as it is on record."""
    gain = granted.get("gain_us")
    words = [] if gain is None else [f"expected {span(gain / 1_000_000)} sooner than here"]
    others = granted.get("not_asked") or {}
    if others:
        told = ", ".join(f"{name} ({why.replace('_', ' ')})" for name, why in others.items())
        words.append(f"not asked: {told}")
    return f" ({'; '.join(words)})" if words else ""


def _brief(asked: Record) -> str:
    """Return what its center told of a guest: language, answers in menus, what it went through."""
    brief = asked.get("brief") or {}
    words = [f"language {brief['language']}"] if brief.get("language") else []
    if brief.get("menu"):
        words.append("menu: " + ", ".join(f"{menu} {digit}" for menu, digit in brief["menu"]))
    words += [
        f"{stage['kind']}{_where(stage)} {span(stage['took_us'] / 1_000_000)}"
        for stage in brief.get("past") or ()
    ]
    return f"; {'; '.join(words)}" if words else ""


def _where(stage: Record) -> str:
    place = stage.get("agent_id") or stage.get("queue")
    return f" ({place})" if place else ""


def _wait(told: Record) -> str:
    """Return the range that was said, and the estimate behind it."""
    lo, hi = told["lo_us"] / 1_000_000, told.get("hi_us")
    words = f"more than {span(lo)}" if hi is None else f"{span(lo)} to {span(hi / 1_000_000)}"
    return f"{words} (expected {span(told['expected_us'] / 1_000_000)})"


def _end(contact: Record) -> str:
    text = f"ends: {contact['disposition']}"
    if contact.get("end_party"):
        text += f", by the {contact['end_party']}"
    if contact.get("reason"):
        text += f" ({contact['reason']})"
    return text


def header(contact: Record, zone: ZoneInfo) -> list[tuple[str, str]]:
    """Return what stands above the story: names and values."""
    ended = contact.get("disposition") or f"in progress ({contact.get('state') or 'open'})"
    pairs: Sequence[tuple[str, str | None]] = (
        ("contact", f"{contact['number']}  {contact['contact_id']}"),
        ("started", f"{local_time(contact['started'], zone)} {zone.key}"),
        ("disposition", ended),
        ("queue", contact.get("queue")),
        ("operator", contact.get("agent_id") and _named(contact["agent_id"])),
        ("belongs to", _owner(contact)),
        ("language", contact.get("language")),
        ("article", contact.get("article")),
        ("via", contact.get("via")),
        (
            "belongs to" if contact.get("direction") == "out" else "has the place of",
            contact.get("related_contact_id"),
        ),
        ("times", _times(contact)),
        ("result code", contact.get("wrap_up_code")),
        *(("recording", _recording(r)) for r in contact.get("recordings") or ()),
        ("config", contact.get("config_version")),
    )
    return [(name, value) for name, value in pairs if value]


def _owner(contact: Record) -> str | None:
    if not contact.get("owner"):
        return None
    return f"center {contact['owner']}, contact {contact['origin']} there"


def _recording(recording: Record) -> str:
    return f"{recording['path']}{' (the file is missing)' if recording['missing'] else ''}"


def _times(contact: Record) -> str:
    parts = [
        f"{name} {span(contact[key])}"
        for name, key in (
            ("menu", "menu_s"),
            ("wait", "wait_s"),
            ("ring", "ring_s"),
            ("talk", "talk_s"),
            ("hold", "hold_s"),
            ("wrap-up", "wrap_up_s"),
        )
        if contact.get(key) is not None
    ]
    return ", ".join(parts)


def story(contact: Record, zone: ZoneInfo) -> str:
    """Return the story as text: local time of the center, distance from the start, what."""
    head = header(contact, zone)
    width = max(len(name) for name, _ in head)
    lines = [f"{name:<{width}}  {_visible(value)}" for name, value in head]
    lines.append("")
    told = moments(contact)
    start = told[0].at
    for moment in told:
        clock = local_time(moment.iso, zone, with_date=False)
        lines.append(f"{clock}  {offset(moment.at - start):>8}  {_visible(moment.text)}")
    return "\n".join(lines)


def _visible(text: str) -> str:
    return "".join(ch if ch.isprintable() else "\ufffd" for ch in text)
