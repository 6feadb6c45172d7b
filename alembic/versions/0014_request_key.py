"""Requests with a key of their client's: each is done once, and its answer kept for a while."""

import sqlalchemy as sa
from alembic import op

revision = "0014_request_key"
down_revision = "0013_job_queue"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    op.create_table(
        "request_key",
        sa.Column("name", sa.LargeBinary, primary_key=True),
        sa.Column("created", BIG, nullable=False),
        sa.Column("asked", sa.LargeBinary),
        sa.Column("answer", sa.LargeBinary),
    )
    op.create_index("ix_request_key_created", "request_key", ["created"])


def downgrade() -> None:
    op.drop_index("ix_request_key_created", "request_key")
    op.drop_table("request_key")
