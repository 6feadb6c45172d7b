"""Title and artist of a track as the issuer declared them: the values that salted commitments are of."""

import sqlalchemy as sa
from alembic import op

revision = "0008_track_credit"
down_revision = "0007_fingerprint"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "track_credit",
        sa.Column("track_id", sa.Text, sa.ForeignKey("track.track_id", ondelete="CASCADE"), primary_key=True),
        sa.Column("label", sa.Text, primary_key=True),
        sa.Column("value", sa.Text, nullable=False),
        sa.Column("salt", sa.LargeBinary, nullable=False),
    )


def downgrade() -> None:
    op.drop_table("track_credit")
