"""API keys of the service, by digest."""

import sqlalchemy as sa
from alembic import op

revision = "0009_access_key"
down_revision = "0008_track_credit"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "access_key",
        sa.Column("key_id", sa.Text, primary_key=True),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("scopes", sa.Text, nullable=False),
        sa.Column("label", sa.Text, nullable=False),
        sa.Column("created", sa.Text, nullable=False),
        sa.Column("expires", sa.Text),
        sa.Column("revoked", sa.Text),
        sa.Column("used", sa.Text),
        sa.Column("daily", sa.Integer),
    )


def downgrade() -> None:
    op.drop_table("access_key")
