"""No index of leaf hashes (a place is unique already), idempotency keys, and the ledger's lock stores."""

import sqlalchemy as sa
from alembic import op

revision = "0004_group_commit"
down_revision = "0003_attestation"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer, "sqlite")
WITHOUT_LEAF = "entry_index = NEW.entry_index OR (asset = NEW.asset AND n = NEW.n)"
WITH_LEAF = "entry_index = NEW.entry_index OR leaf_hash = NEW.leaf_hash OR (asset = NEW.asset AND n = NEW.n)"
NEW_TABLES = {
    "ledger_request": "idempotency_key = NEW.idempotency_key",
    "ledger_guard": "guard_id = NEW.guard_id",
}


def upgrade() -> None:
    op.create_table(
        "ledger_request",
        sa.Column("idempotency_key", sa.Text, primary_key=True),
        sa.Column("entry_index", BIG, nullable=False),
    )
    op.create_table(
        "ledger_guard",
        sa.Column("guard_id", sa.Text, primary_key=True),
        sa.Column("size", BIG, nullable=False),
    )
    copy_entries()
    create_triggers("ledger_entry", WITHOUT_LEAF)
    for table, same in NEW_TABLES.items():
        create_triggers(table, same)


def downgrade() -> None:
    for table in NEW_TABLES:
        op.drop_table(table)
    copy_entries(sa.UniqueConstraint("leaf_hash", name="ledger_entry_leaf_hash"))
    create_triggers("ledger_entry", WITH_LEAF)


def copy_entries(*constraints: sa.Constraint) -> None:
    """Make the table of entries again, since SQLite cannot drop a constraint; not a byte of a row changes."""
    op.create_table(
        "ledger_entry_copy",
        sa.Column("entry_index", BIG, primary_key=True, autoincrement=False),
        sa.Column("entry", sa.LargeBinary, nullable=False),
        sa.Column("leaf_hash", sa.LargeBinary, nullable=False),
        sa.Column("chain_hash", sa.LargeBinary, nullable=False),
        sa.Column("asset", sa.Text, nullable=False),
        sa.Column("n", BIG, nullable=False),
        sa.UniqueConstraint("asset", "n", name="ledger_entry_asset_n"),
        *constraints,
    )
    op.execute("INSERT INTO ledger_entry_copy SELECT * FROM ledger_entry ORDER BY entry_index")
    same = op.get_bind().scalar(
        sa.text(
            "SELECT (SELECT count(*) FROM ledger_entry) = (SELECT count(*) FROM ledger_entry o"
            " JOIN ledger_entry_copy c ON o.entry_index = c.entry_index AND o.entry = c.entry"
            " AND o.leaf_hash = c.leaf_hash AND o.chain_hash = c.chain_hash AND o.asset = c.asset"
            " AND o.n = c.n)"
        )
    )
    if not same:
        raise RuntimeError("the copied entries differ from the entries: nothing was changed")
    op.drop_table("ledger_entry")
    op.rename_table("ledger_entry_copy", "ledger_entry")


def create_triggers(table: str, same: str) -> None:
    """Keep a table append-only; written out, not imported: a migration must do the same in ten years."""
    for action in ("update", "delete"):
        op.execute(
            f"CREATE TRIGGER {table}_no_{action} BEFORE {action.upper()} ON {table} "
            f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
        )
    op.execute(
        f"CREATE TRIGGER {table}_no_replace BEFORE INSERT ON {table} "
        f"WHEN EXISTS (SELECT 1 FROM {table} WHERE {same}) "
        f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
    )
