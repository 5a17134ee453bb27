"""The outbox's tables, in words that SQLite and PostgreSQL both know. Times: UTC microseconds."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

metadata: Final = sa.MetaData()
_BIG: Final = sa.BigInteger()

schedule: Final = sa.Table(
    "schedule",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("since", _BIG, nullable=False),
)
"""Since when a report is in the config: what was due before is not made up."""

mail: Final = sa.Table(
    "mail",
    metadata,
    sa.Column("mail_id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("first", sa.Text, nullable=False),
    sa.Column("after", sa.Text, nullable=False),
    sa.Column("copy", sa.Integer, nullable=False),
    sa.Column("period", sa.Text, nullable=False),
    sa.Column("due", _BIG, nullable=False),
    sa.Column("state", sa.Text, nullable=False, index=True),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("next_try", _BIG, nullable=False),
    sa.Column("give_up", _BIG, nullable=False),
    sa.Column("last_error", sa.Text),
    sa.Column("message_id", sa.Text),
    sa.Column("sent", _BIG),
    sa.Column("bytes", sa.Integer),
    sa.Column("sha256", sa.Text),
    sa.Column("content", sa.LargeBinary),
    sa.UniqueConstraint("name", "first", "copy"),
)

mail_to: Final = sa.Table(
    "mail_to",
    metadata,
    sa.Column("mail_id", sa.Integer, sa.ForeignKey("mail.mail_id"), primary_key=True),
    sa.Column("address", sa.Text, primary_key=True),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("reply", sa.Text),
)
