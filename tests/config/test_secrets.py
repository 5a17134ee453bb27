from __future__ import annotations

from pathlib import Path

import pytest

from gkc_engine.config.secrets import resolve_secret
from gkc_engine.errors import ConfigError


def test_a_secret_comes_from_where_its_reference_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GKC_TEST_SECRET", "one")
    (tmp_path / "ami").write_text("two\n", encoding="utf-8")
    assert resolve_secret("env:GKC_TEST_SECRET", tmp_path) == "one"
    assert resolve_secret("file:ami", tmp_path) == "two"
    assert resolve_secret(f"file:{tmp_path}/ami", Path("elsewhere")) == "two"


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ("env:GKC_TEST_SECRET", "GKC_TEST_SECRET is not set"),
        ("file:none", "file:none: No such file"),
        ("file:empty", "file:empty: the file is empty"),
    ],
)
def test_a_secret_that_is_not_there_is_said(
    reference: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GKC_TEST_SECRET", raising=False)
    (tmp_path / "empty").touch()
    with pytest.raises(ConfigError, match=said):
        resolve_secret(reference, tmp_path)
