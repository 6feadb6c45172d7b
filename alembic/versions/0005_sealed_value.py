"""Personal values, sealed under a key for each person."""

import sqlalchemy as sa
from alembic import op

revision = "0005_sealed_value"
down_revision = "0004_group_commit"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "sealed_value",
        sa.Column("commitment", sa.LargeBinary, primary_key=True),
        sa.Column("person", sa.Text, nullable=False),
        sa.Column("asset", sa.Text, nullable=False),
        sa.Column("label", sa.Text, nullable=False),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
    )
    op.create_index("sealed_value_person", "sealed_value", ["person"])
    op.create_index("sealed_value_asset", "sealed_value", ["asset"])


def downgrade() -> None:
    op.drop_table("sealed_value")
