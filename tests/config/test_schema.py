from __future__ import annotations

import json

from gkc_engine.config.schema import duration_text, json_schema
from gkc_engine.config.values import duration_us
from gkc_engine.ids import SECOND


def test_the_schema_speaks_as_the_files_do() -> None:
    schema = json_schema()
    queue = schema["$defs"]["QueueModel"]
    assert queue["properties"]["timeout"]["default"] == "20s"
    assert queue["properties"]["timeout"]["type"] == "string"
    assert queue["properties"]["slope"]["default"] == 1
    assert "announce-frequency" in queue["properties"]
    assert queue["additionalProperties"] is False
    assert queue["required"] == ["title"]
    assert "longest-idle" in json.dumps(schema)
    assert "required" not in schema, "a file may hold any of the sections"


def test_durations_are_written_in_their_largest_unit() -> None:
    texts = ["0s", "250ms", "20s", "90s", "2m", "36h", "7d", "1.5ms"]
    assert [duration_text(duration_us(text)) for text in texts] == texts
    assert duration_text(60 * SECOND) == "1m"
