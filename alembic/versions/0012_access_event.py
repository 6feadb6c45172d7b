"""The audit trail of the service, append-only."""

import sqlalchemy as sa
from alembic import op

revision = "0012_access_event"
down_revision = "0011_casework"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "access_event",
        sa.Column(
            "n", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=False
        ),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("hash", sa.LargeBinary, nullable=False),
    )
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            "CREATE FUNCTION access_append_only() RETURNS trigger LANGUAGE plpgsql AS "
            "$$BEGIN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME; END$$"
        )
        for name, events, unit in (
            ("rows", "BEFORE DELETE OR UPDATE", "ROW"),
            ("table", "BEFORE TRUNCATE", "STATEMENT"),
        ):
            op.execute(
                f"CREATE TRIGGER access_event_{name} {events} ON access_event FOR EACH {unit} "
                "EXECUTE FUNCTION access_append_only()"
            )
        return
    for action in ("update", "delete"):
        op.execute(
            f"CREATE TRIGGER access_event_no_{action} BEFORE {action.upper()} ON access_event "
            "BEGIN SELECT RAISE(ABORT, 'access_event is append-only'); END"
        )
    op.execute(
        "CREATE TRIGGER access_event_no_replace BEFORE INSERT ON access_event "
        "WHEN EXISTS (SELECT 1 FROM access_event WHERE n = NEW.n) "
        "BEGIN SELECT RAISE(ABORT, 'access_event is append-only'); END"
    )


def downgrade() -> None:
    op.drop_table("access_event")
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION access_append_only")
