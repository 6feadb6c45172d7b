"""What a job found out that no statement says: the known recording that is closest to a new track."""

import sqlalchemy as sa
from alembic import op

revision = "0015_job_outcome"
down_revision = "0014_request_key"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("job") as job:
        job.add_column(sa.Column("outcome", sa.Text))


def downgrade() -> None:
    with op.batch_alter_table("job") as job:
        job.drop_column("outcome")
