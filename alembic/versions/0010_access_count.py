"""Counts of what strangers ask, and the salts of their names."""

import sqlalchemy as sa
from alembic import op

revision = "0010_access_count"
down_revision = "0009_access_key"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    op.create_table(
        "access_salt",
        sa.Column("start", BIG, primary_key=True, autoincrement=False),
        sa.Column("salt", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "access_count",
        sa.Column("subject", sa.LargeBinary, primary_key=True),
        sa.Column("window", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("start", BIG, primary_key=True, autoincrement=False),
        sa.Column("count", sa.Integer, nullable=False),
    )
    op.create_index("ix_access_count_start", "access_count", ["start"])


def downgrade() -> None:
    op.drop_table("access_count")
    op.drop_table("access_salt")
