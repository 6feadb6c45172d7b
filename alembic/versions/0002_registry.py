"""The registry's tables: tracks, marks and the jobs of the service."""

import sqlalchemy as sa
from alembic import op

revision = "0002_registry"
down_revision = "0001_ledger"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "track",
        sa.Column("track_id", sa.Text, primary_key=True),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("origin", sa.Text, nullable=False),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("created", sa.Text, nullable=False),
        sa.Column("audio_name", sa.Text, nullable=False),
        sa.Column("container", sa.Text, nullable=False),
        sa.Column("sample_rate", sa.Integer, nullable=False),
        sa.Column("channels", sa.Integer, nullable=False),
        sa.Column("samples", sa.Integer, nullable=False),
        sa.Column("file_sha256", sa.Text, nullable=False),
        sa.Column("pcm_sha256", sa.Text, nullable=False),
        sa.Column("source_pcm_sha256", sa.Text, nullable=False),
        sa.Column("prompt", sa.Text, nullable=True),
        sa.Column("prompt_salt", sa.LargeBinary, nullable=True),
        sa.Column("understood", sa.Text, nullable=True),
    )
    op.create_index("track_source_pcm", "track", ["source_pcm_sha256"], unique=True)
    op.create_index("track_created", "track", ["created", "track_id"])
    op.create_table(
        "mark",
        sa.Column("mark_id", sa.Text, primary_key=True),
        sa.Column("track_id", sa.Text, sa.ForeignKey("track.track_id", ondelete="CASCADE"), nullable=False),
        sa.Column("salt", sa.LargeBinary, nullable=False),
        sa.Column("profile", sa.Text, nullable=False),
        sa.Column("watermark_key_id", sa.Text, nullable=False),
    )
    op.create_index("ix_mark_track_id", "mark", ["track_id"])
    op.create_table(
        "job",
        sa.Column("job_id", sa.Text, primary_key=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("stage", sa.Text, nullable=False),
        sa.Column("fraction", sa.Float, nullable=False),
        sa.Column("request", sa.Text, nullable=False),
        sa.Column("track_id", sa.Text, nullable=False),
        sa.Column("problem", sa.Text, nullable=True),
        sa.Column("created", sa.Text, nullable=False),
        sa.Column("updated", sa.Text, nullable=False),
    )
    op.create_index("job_state", "job", ["state"])


def downgrade() -> None:
    for table in ("job", "mark", "track"):
        op.drop_table(table)
