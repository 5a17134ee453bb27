"""A Grafana dashboard of one or more centers, its bounds from a config. Pure.

Format: https://grafana.com/docs/grafana/latest/dashboards/build-dashboards/view-dashboard-json-model/
(schema 39: Grafana 10.4 or newer).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from gkc_engine.config.models import Config
from gkc_engine.monitoring.bounds import Figure, Language, bounds
from gkc_engine.monitoring.panels import AT, GREEN, RED, ROWS, YELLOW, Panel, Titles

Tree = dict[str, Any]

_SOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}
_COLUMNS: Final = 24
"""Grafana's grid."""


def dashboard(config: Config, language: Language) -> Tree:
    """Return the dashboard as a tree for JSON."""
    place = 0 if language == "ru" else 1
    return {
        "uid": "gkc-center",
        "title": ("Контакт-центр", "Contact center")[place],
        "tags": ["gkc"],
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "10s",
        "time": {"from": "now-3h", "to": "now"},
        "timepicker": {},
        "timezone": "browser",
        "weekStart": "",
        "fiscalYearStartMonth": 0,
        "liveNow": False,
        "links": [],
        "annotations": {"list": []},
        "templating": {"list": _variables(place)},
        "panels": _placed(config, place),
    }


def _variables(place: int) -> list[Tree]:
    def of_label(name: str, label: Titles, query: str) -> Tree:
        return {
            "name": name,
            "label": label[place],
            "type": "query",
            "datasource": _SOURCE,
            "definition": query,
            "query": {"query": query, "refId": name},
            "refresh": 2,
            "sort": 1,
            "multi": True,
            "includeAll": True,
            "allValue": ".*",
            "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
            "options": [],
            "hide": 0,
            "regex": "",
            "skipUrlSync": False,
        }

    source: Tree = {
        "name": "datasource",
        "label": ("Источник", "Data source")[place],
        "type": "datasource",
        "query": "prometheus",
        "current": {},
        "options": [],
        "refresh": 1,
        "regex": "",
        "hide": 0,
        "multi": False,
        "includeAll": False,
        "skipUrlSync": False,
    }
    return [
        source,
        of_label("instance", ("Центр", "Center"), "label_values(gkc_info, instance)"),
        of_label("queue", ("Очередь", "Queue"), f"label_values(gkc_waiting{{{AT}}}, queue)"),
    ]


def _placed(config: Config, place: int) -> list[Tree]:
    """Return the panels from left to right, row by row, each below a heading."""
    found: list[Tree] = []
    y = 0
    for title, panels in ROWS:
        found.append(
            {
                "id": len(found) + 1,
                "type": "row",
                "title": title[place],
                "collapsed": False,
                "gridPos": {"x": 0, "y": y, "w": _COLUMNS, "h": 1},
                "panels": [],
            }
        )
        y += 1
        x = 0
        for panel in panels:
            if x + panel.width > _COLUMNS:
                x, y = 0, y + panel.height
            at = {"x": x, "y": y, "w": panel.width, "h": panel.height}
            found.append({"id": len(found) + 1, "gridPos": at, **_panel(panel, config, place)})
            x += panel.width
        y += panels[-1].height
    return found


def _panel(panel: Panel, config: Config, place: int) -> Tree:
    steps = panel.steps or _bound_steps(config, panel.bound)
    defaults: Tree = {
        "unit": panel.unit,
        "color": {"mode": "thresholds" if panel.kind == "stat" else "palette-classic"},
        "thresholds": {
            "mode": "absolute",
            "steps": [{"color": color, "value": value} for color, value in steps],
        },
        "mappings": [],
        "custom": _custom(panel),
    }
    if panel.unit == "percentunit":
        defaults["min"] = 0
    if panel.to is not None:
        defaults["max"] = panel.to
    return {
        "type": panel.kind,
        "title": panel.title[place],
        "datasource": _SOURCE,
        "targets": [_target(n, *series, kind=panel.kind) for n, series in enumerate(panel.series)],
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": _OPTIONS[panel.kind],
    }


def _target(n: int, expression: str, legend: str, kind: str) -> Tree:
    target = {
        "refId": "ABCDEFGH"[n],
        "datasource": _SOURCE,
        "editorMode": "code",
        "expr": expression,
        "legendFormat": legend or "__auto",
        "range": kind != "stat",
        "instant": kind == "stat",
    }
    return target | ({"format": "heatmap"} if kind == "heatmap" else {})


def _bound_steps(config: Config, figure: Figure | None) -> Sequence[tuple[str, float | None]]:
    """Return the center's bounds as colours; queues' own are in the alert rules alone."""
    if figure is None or getattr(config.thresholds, figure) is None:
        return ((GREEN, None),)
    warn, bad = (bounds(config, figure, level)[0] for level in ("warn", "bad"))
    if warn.falls:
        return ((RED, None), (YELLOW, bad.value), (GREEN, warn.value))
    return ((GREEN, None), (YELLOW, warn.value), (RED, bad.value))


def _custom(panel: Panel) -> Tree:
    if panel.kind != "timeseries":
        return {}
    return {
        "drawStyle": "line",
        "lineInterpolation": "stepAfter",
        "lineWidth": 1,
        "fillOpacity": 25 if panel.stacked else 0,
        "showPoints": "never",
        "spanNulls": False,
        "stacking": {"mode": "normal" if panel.stacked else "none", "group": "A"},
        "thresholdsStyle": {"mode": "off" if panel.bound is None else "line"},
        "axisPlacement": "auto",
    }


_OPTIONS: Final[dict[str, Tree]] = {
    "stat": {
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "colorMode": "background",
        "graphMode": "none",
        "justifyMode": "auto",
        "orientation": "auto",
        "textMode": "auto",
    },
    "timeseries": {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
        "tooltip": {"mode": "multi", "sort": "desc"},
    },
    "heatmap": {
        "calculate": False,
        "cellGap": 1,
        "color": {"mode": "scheme", "scheme": "Oranges", "steps": 64},
        "yAxis": {"unit": "s", "axisPlacement": "left", "reverse": False},
        "rowsFrame": {"layout": "auto"},
        "showValue": "never",
        "tooltip": {"mode": "single", "yHistogram": False},
        "legend": {"show": True},
    },
}
