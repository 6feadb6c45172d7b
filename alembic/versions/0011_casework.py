"""Casework: cases, their signed steps, documents that these name, and the stay-down list."""

import sqlalchemy as sa
from alembic import op

revision = "0011_casework"
down_revision = "0010_access_count"
branch_labels = None
depends_on = None


def _case_column(**options: bool) -> "sa.Column[str]":
    return sa.Column("case_id", sa.Text, sa.ForeignKey("case_file.case_id", ondelete="CASCADE"), **options)


def upgrade() -> None:
    op.create_table(
        "case_file",
        sa.Column("case_id", sa.Text, primary_key=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("opened", sa.Text, nullable=False),
        sa.Column("updated", sa.Text, nullable=False),
        sa.Column("due", sa.Text),
        sa.Column("urgent", sa.Boolean, nullable=False),
        sa.Column("public", sa.Boolean, nullable=False),
        sa.Column("claim", sa.Text, nullable=False),
        sa.Column("tracks", sa.Text, nullable=False),
        sa.Column("person", sa.Text, nullable=False),
        sa.Column("respondent", sa.Text),
        sa.Column("code_hash", sa.LargeBinary),
    )
    for name in ("status", "due", "opened", "respondent"):
        op.create_index(f"case_file_{name}", "case_file", [name])
    op.create_table(
        "case_step",
        _case_column(primary_key=True),
        sa.Column("n", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("envelope", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "case_document",
        _case_column(primary_key=True),
        sa.Column("sha256", sa.Text, primary_key=True),
        sa.Column("content", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "stay_down",
        sa.Column("entry_id", sa.Integer, primary_key=True, autoincrement=True),
        _case_column(nullable=False),
        sa.Column("track_id", sa.Text),
        sa.Column("number", sa.Integer),
        sa.Column("file_sha256", sa.Text),
        sa.Column("pcm_sha256", sa.Text),
        sa.Column("added", sa.Boolean, nullable=False),
        sa.Column("created", sa.Text, nullable=False),
        sa.Column("lifted", sa.Text),
    )
    op.create_index("stay_down_case", "stay_down", ["case_id"])
    op.create_index("stay_down_track", "stay_down", ["track_id"])
    op.create_index("stay_down_number", "stay_down", ["number"])
    op.create_index("stay_down_pcm", "stay_down", ["pcm_sha256"])


def downgrade() -> None:
    for name in ("stay_down", "case_document", "case_step", "case_file"):
        op.drop_table(name)
