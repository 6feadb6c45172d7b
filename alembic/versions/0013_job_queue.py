"""Jobs that several workers take: leases, attempts, priorities, wishes to cancel, and a version to follow."""

import sqlalchemy as sa
from alembic import op

revision = "0013_job_queue"
down_revision = "0012_access_event"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    # The defaults are for the rows that are there; the program always says them.
    with op.batch_alter_table("job") as job:
        job.add_column(sa.Column("version", BIG, nullable=False, server_default="1"))
        job.add_column(sa.Column("priority", sa.Integer, nullable=False, server_default="0"))
        job.add_column(sa.Column("attempts", sa.Integer, nullable=False, server_default="0"))
        job.add_column(sa.Column("due_s", BIG, nullable=False, server_default="0"))
        job.add_column(sa.Column("cancelling", sa.Boolean, nullable=False, server_default=sa.false()))
        job.add_column(sa.Column("worker", sa.Text))
        job.add_column(sa.Column("lease_s", BIG, nullable=False, server_default="0"))


def downgrade() -> None:
    with op.batch_alter_table("job") as job:
        for name in ("lease_s", "worker", "cancelling", "due_s", "attempts", "priority", "version"):
            job.drop_column(name)
