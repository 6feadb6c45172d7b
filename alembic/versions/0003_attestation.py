"""What others attest about checkpoints: cosignatures, time-stamps."""

import sqlalchemy as sa
from alembic import op

revision = "0003_attestation"
down_revision = "0002_registry"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    op.create_table(
        "attestation",
        sa.Column("size", BIG, primary_key=True, autoincrement=False),
        sa.Column("kind", sa.Text, primary_key=True),
        sa.Column("source", sa.Text, primary_key=True),
        sa.Column("time_s", BIG, nullable=False),
        sa.Column("content", sa.LargeBinary, nullable=False),
    )


def downgrade() -> None:
    op.drop_table("attestation")
