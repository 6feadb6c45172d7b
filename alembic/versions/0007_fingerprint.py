"""The catalogue of fingerprints, and the files of its index."""

import sqlalchemy as sa
from alembic import op

revision = "0007_fingerprint"
down_revision = "0006_delivered_copy"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "fingerprint",
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("track_id", sa.Text, sa.ForeignKey("track.track_id", ondelete="CASCADE")),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("profile", sa.Text, nullable=False),
        sa.Column("milliseconds", sa.Integer, nullable=False),
        sa.Column("sha256", sa.Text, nullable=False),
        sa.Column("pcm_sha256", sa.Text, nullable=False),
        sa.Column("created", sa.Text, nullable=False),
        sa.Column("segment", sa.Text),
        # A number is never given twice: segments name recordings by it.
        sqlite_autoincrement=True,
    )
    op.create_index("fingerprint_track", "fingerprint", ["track_id"], unique=True)
    op.create_index("fingerprint_pcm", "fingerprint", ["pcm_sha256"])
    op.create_index("fingerprint_segment_name", "fingerprint", ["segment"])
    op.create_table(
        "fingerprint_segment",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("sha256", sa.Text, nullable=False),
        sa.Column("recordings", sa.Integer, nullable=False),
    )


def downgrade() -> None:
    op.drop_table("fingerprint_segment")
    op.drop_table("fingerprint")
