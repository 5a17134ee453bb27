"""Looks once a second, keeps what was raised, and has people told. One per engine.

Nothing waits for it: a row that cannot be written now is written later, and each way of telling has
a queue of its own (``senders``).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

import structlog

from gkc_engine.alerts import words
from gkc_engine.alerts.box import GIVE_UP_US, Box
from gkc_engine.alerts.evaluator import Evaluator, Key, Transition
from gkc_engine.alerts.limits import KEPT
from gkc_engine.alerts.sampling import Sampler, watched
from gkc_engine.alerts.senders import Mailer, Notice, Webhook
from gkc_engine.alerts.window import Window
from gkc_engine.config.alert_model import SHARES, AlertModel
from gkc_engine.config.hours import is_open, zone_of
from gkc_engine.config.models import Config
from gkc_engine.control.views import iso
from gkc_engine.errors import ConfigError
from gkc_engine.ids import SECOND, Instant, Micros
from gkc_engine.metrics import Metrics

log = structlog.get_logger(__name__)

EVERY_S: Final = 1.0
"""From one look to the next: an alert is raised so much after its time at the latest."""

DISK_EVERY_S: Final = 10.0

CLOSE_S: Final = 0.5
"""How long the end of the engine waits for messages to be written down."""


@dataclass(slots=True, kw_only=True)
class Raised:
    """One alert that was raised: the row of the table."""

    alert_id: int
    name: str
    queue: str | None
    measure: str
    threshold: float
    since_us: int
    """When the value went beyond the threshold."""
    raised_us: int
    value: float | None
    told_us: int | None = None
    """When people were told; ``None``: its quiet time is not over, or it was over before."""
    cleared_us: int | None = None
    cleared_value: float | None = None
    acked_us: int | None = None
    acked_by: str | None = None
    note: str | None = None

    @property
    def key(self) -> Key:
        """Which alert, of which queue."""
        return Key(self.name, self.queue or "")


class Alerts:
    """The alerts of the config in force."""

    def __init__(
        self,
        sampler: Sampler,
        window: Window,
        metrics: Metrics,
        save: Callable[[Mapping[str, Any]], asyncio.Future[None]],
        secret: Callable[[str], str],
        box: Box,
        *,
        now: Callable[[], Instant],
    ) -> None:
        """``save`` writes a row in the background; ``secret`` gives what ``env:X`` means.

        ``box``: open, and closed by ``close``.
        """
        self._box = box
        self._sampler, self._window, self._metrics = sampler, window, metrics
        self._save, self._secret, self._now = save, secret, now
        self._evaluator = Evaluator()
        self._alerts: dict[Key, AlertModel] = {}
        self._webhooks: dict[str, Webhook] = {}
        self._config: Config | None = None
        self._unsaved: dict[int, Raised] = {}
        self._saving: asyncio.Future[None] | None = None
        self._next_id = 1
        self.mailer: Mailer | None = None
        """Takes mail; without it, a mail address is told in the log that nothing was sent."""
        self.raised: dict[int, Raised] = {}
        """Those that stand, and the last that are over, by id."""

    # --- config ------------------------------------------------------------------------------

    def restore(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Take what earlier engines left; before ``apply``. What stands is not raised again."""
        for row in rows:
            raised = Raised(**row)
            self.raised[raised.alert_id] = raised
            self._next_id = max(self._next_id, raised.alert_id + 1)
        self._evaluator.restore(r.key for r in self.raised.values() if r.cleared_us is None)

    def apply(self, config: Config) -> None:
        """Go by this config; what it does not have any more is cleared."""
        rules = list(watched(config))
        before = self._alerts
        self._config = config
        self._alerts = {rule.key: alert for rule, alert in rules}
        longest = [alert.over for _, alert in rules if alert.when in SHARES]
        self._window.kept_us = max(longest, default=Micros(0))
        self._replace_webhooks(config)
        for way in ("log", "mail", "webhook"):
            for outcome in ("sent", "failed", "dropped"):
                self._metrics.alerts_sent.labels(way, outcome)
        self._metrics.alert_active.clear()
        for rule, _ in rules:
            self._metrics.alert_active.labels(*rule.key).set(0)
            self._metrics.alerts_raised.labels(rule.key.name)
        gone = self._evaluator.replace([rule for rule, _ in rules], self._now())
        for transition in gone:
            self._clear(transition, before.get(transition.key))
        self._show()

    def _replace_webhooks(self, config: Config) -> None:
        before, self._webhooks = self._webhooks, {}
        used = {way for alert in config.alerts for way in alert.to}
        for name, model in config.webhooks.items():
            if name not in used:
                continue
            try:
                secret = self._secret(model.secret)
            except ConfigError as error:
                # As with a PIN: one secret that is not there must not keep the engine from serving.
                log.error("webhook_without_secret", webhook=name, reason=str(error))  # noqa: TRY400
                continue
            target, former = (name, model.url, secret), before.get(name)
            if former is not None and former.target == target:
                self._webhooks[name] = before.pop(name)
                continue
            if former is not None:
                former.close()
            self._webhooks[name] = Webhook(target, self._count_later, self._box, self._now, former)
        for webhook in before.values():
            webhook.close()
        self._box.forget_others(list(config.webhooks), Instant(self._now() - GIVE_UP_US))

    def _count_later(self, way: str, outcome: str) -> None:
        self._metrics.alerts_sent.labels(way, outcome).inc()  # prometheus_client locks by itself

    # --- looking -----------------------------------------------------------------------------

    async def run(self) -> None:
        """Look once a second until cancelled."""
        while True:
            self.look()
            await asyncio.sleep(EVERY_S)

    def look(self) -> None:
        """Look at every alert now."""
        if not self._alerts and not self._unsaved:
            return
        now = self._now()
        for transition in self._evaluator.look(now, self._sampler.values(self._alerts, now)):
            alert = self._alerts[transition.key]
            if transition.raised:
                self._raise(transition, alert)
            else:
                self._clear(transition, alert)
        self._tell_late(now)
        self._show()
        self._save_again()

    def _raise(self, transition: Transition, alert: AlertModel) -> None:
        raised = Raised(
            alert_id=self._next_id,
            name=transition.key.name,
            queue=transition.key.queue or None,
            measure=alert.when.value,
            threshold=alert.threshold,
            since_us=transition.since,
            raised_us=transition.at,
            value=_finite(transition.value),
        )
        self._next_id += 1
        self.raised[raised.alert_id] = raised
        self._forget_old()
        self._metrics.alerts_raised.labels(raised.name).inc()
        if not self._is_quiet(alert, transition.at):
            self._tell(raised, alert, transition.value, transition.at)
        self._keep(raised)

    def _clear(self, transition: Transition, alert: AlertModel | None) -> None:
        standing = [
            r for r in self.raised.values() if r.key == transition.key and r.cleared_us is None
        ]
        for raised in standing:
            raised.cleared_us = transition.at
            raised.cleared_value = _finite(transition.value)
            # Who was not told that it began need not hear that it is over.
            if alert is not None and raised.told_us is not None:
                self._send(raised, alert, transition.value, gone=transition.gone)
            self._keep(raised)

    def _tell_late(self, now: Instant) -> None:
        """After a quiet time: tell of what still stands and nobody was told of."""
        for raised in self.raised.values():
            if raised.cleared_us is None and raised.told_us is None:
                alert = self._alerts.get(raised.key)
                if alert is not None and not self._is_quiet(alert, now):
                    self._tell(raised, alert, raised.value, now)
                    self._keep(raised)

    def _is_quiet(self, alert: AlertModel, now: Instant) -> bool:
        assert self._config is not None
        for name in alert.quiet:
            calendar = self._config.calendars[name]
            if is_open(calendar, zone_of(calendar, self._config.center.timezone), now):
                return True
        return False

    def _tell(self, raised: Raised, alert: AlertModel, value: float | None, now: Instant) -> None:
        raised.told_us = now
        self._send(raised, alert, value)

    # --- telling -----------------------------------------------------------------------------

    def _send(
        self, raised: Raised, alert: AlertModel, value: float | None, *, gone: bool = False
    ) -> None:
        assert self._config is not None
        queue = self._config.queues.get(raised.queue or "")
        title = queue.title if queue is not None else raised.queue
        is_raised = raised.cleared_us is None
        what = "raised" if is_raised else "cleared"
        text = words.line(alert, title, value, raised=is_raised, gone=gone)
        notice = Notice(
            delivery=f"{raised.alert_id}.{what}.{raised.raised_us // SECOND}",
            subject=f"{self._config.center.title}: {text}",
            text=text,
            body={
                "schema": 1,
                "event": what,
                "center": self._config.center.name,
                "text": text,
                **alert_row(raised),
                "title": title,
            },
        )
        for way in alert.to:
            self._send_by(way, notice, raised)

    def _send_by(self, way: str, notice: Notice, raised: Raised) -> None:
        if way in self._webhooks:
            self._webhooks[way].send(notice)
        elif "@" in way:
            self._mail(way, notice)
        elif way == "log":
            say = log.warning if raised.cleared_us is None else log.info
            word = "alert_raised" if raised.cleared_us is None else "alert_cleared"
            say(word, alert=raised.name, queue=raised.queue, id=raised.alert_id, text=notice.text)
            self._count_later("log", "sent")
        else:  # a webhook whose secret is not there: said at the start
            self._count_later("webhook", "failed")

    def _mail(self, address: str, notice: Notice) -> None:
        if self.mailer is None:
            log.warning("alert_mail_not_sent", delivery=notice.delivery, reason="no mail: section")
            self._count_later("mail", "failed")
            return
        try:
            self.mailer.send(f"{notice.delivery} {address}", address, notice.subject, notice.text)
        except Exception:
            log.exception("alert_mail_failed", delivery=notice.delivery)
            self._count_later("mail", "failed")
        else:
            self._count_later("mail", "sent")

    # --- rows --------------------------------------------------------------------------------

    def ack(self, alert_id: int, by: str, note: str) -> Raised | None:
        """Note that somebody sees to it; ``None``: there is no such alert."""
        raised = self.raised.get(alert_id)
        if raised is not None:
            raised.acked_us, raised.acked_by, raised.note = self._now(), by, note or None
            self._keep(raised)
        return raised

    def _keep(self, raised: Raised) -> None:
        self._unsaved[raised.alert_id] = raised
        self._save_one(raised)

    def _save_one(self, raised: Raised) -> None:
        row = asdict(raised)

        def done(saving: asyncio.Future[None]) -> None:
            if saving.cancelled():
                return
            if saving.exception() is not None:
                log.warning("alert_not_saved", id=raised.alert_id, error=str(saving.exception()))
            elif asdict(raised) == row:
                self._unsaved.pop(raised.alert_id, None)

        self._saving = self._save(row)
        self._saving.add_done_callback(done)

    def _save_again(self) -> None:
        """Try again what could not be written, when nothing else is being written."""
        if self._unsaved and (self._saving is None or self._saving.done()):
            self._save_one(next(iter(self._unsaved.values())))

    def _forget_old(self) -> None:
        over = [n for n, r in self.raised.items() if r.cleared_us is not None]
        for number in over[: max(0, len(over) - KEPT)]:
            del self.raised[number]

    def _show(self) -> None:
        standing = self._evaluator.standing
        for key in self._alerts:
            self._metrics.alert_active.labels(*key).set(key in standing)

    def close(self) -> None:
        """Begin to send nothing any more; what waits is sent by the next engine."""
        for webhook in self._webhooks.values():
            webhook.close()
        self._box.close(CLOSE_S)


def _finite(value: float | None) -> float | None:
    """Return a value that a column and JSON can hold."""
    return None if value is None or value == float("inf") else value


def alert_row(raised: Raised) -> dict[str, Any]:
    """Return an alert as commands and webhooks show it: seconds and shares, times in UTC."""
    scale = 1e-6 if raised.measure == "longest_wait" else 1.0
    return {
        "alert_id": raised.alert_id,
        "alert": raised.name,
        "when": raised.measure,
        "queue": raised.queue,
        "threshold": raised.threshold * scale,
        "value": None if raised.value is None else raised.value * scale,
        "since": iso(raised.since_us),
        "raised": iso(raised.raised_us),
        "told": iso(raised.told_us),
        "cleared": iso(raised.cleared_us),
        "acked": iso(raised.acked_us),
        "acked_by": raised.acked_by,
        "note": raised.note,
    }
