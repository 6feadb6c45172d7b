"""Copies of tracks, each with a mark of its own."""

import sqlalchemy as sa
from alembic import op

revision = "0006_delivered_copy"
down_revision = "0005_sealed_value"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "delivered_copy",
        sa.Column("copy_id", sa.Text, primary_key=True),
        sa.Column("track_id", sa.Text, sa.ForeignKey("track.track_id", ondelete="CASCADE"), nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("created", sa.Text, nullable=False),
        sa.Column("mark_id", sa.Text, nullable=False),
        sa.Column("salt", sa.LargeBinary, nullable=False),
        sa.Column("profile", sa.Text, nullable=False),
        sa.Column("watermark_key_id", sa.Text, nullable=False),
        sa.Column("person", sa.Text, nullable=False),
        sa.Column("recipient_commitment", sa.LargeBinary, nullable=False),
        sa.Column("audio_name", sa.Text, nullable=False),
        sa.Column("file_sha256", sa.Text, nullable=False),
        sa.Column("pcm_sha256", sa.Text, nullable=False),
    )
    op.create_index("delivered_copy_track", "delivered_copy", ["track_id", "created", "copy_id"])
    op.create_index("delivered_copy_mark", "delivered_copy", ["mark_id"], unique=True)
    op.create_index("delivered_copy_file", "delivered_copy", ["file_sha256"])
    op.create_index("delivered_copy_pcm", "delivered_copy", ["pcm_sha256"])


def downgrade() -> None:
    op.drop_table("delivered_copy")
