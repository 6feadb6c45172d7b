"""The ledger's tables and the triggers that keep them append-only."""

import sqlalchemy as sa
from alembic import op

revision = "0001_ledger"
down_revision = None
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer, "sqlite")
# Written out, not imported from the program: a migration must do the same in ten years.
APPEND_ONLY = {
    "ledger_entry": (
        "entry_index = NEW.entry_index OR leaf_hash = NEW.leaf_hash OR (asset = NEW.asset AND n = NEW.n)"
    ),
    "ledger_node": "level = NEW.level AND position = NEW.position",
    "ledger_checkpoint": "size = NEW.size",
    "ledger_subject": "entry_index = NEW.entry_index AND name = NEW.name",
    "ledger_key": "key_id = NEW.key_id",
}


def upgrade() -> None:
    op.create_table(
        "ledger_state",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("origin", sa.Text, nullable=False),
        sa.Column("vkey", sa.Text, nullable=False),
        sa.Column("size", BIG, nullable=False),
        sa.Column("root", sa.LargeBinary, nullable=False),
        sa.Column("chain_hash", sa.LargeBinary, nullable=False),
        sa.CheckConstraint("id = 1", name="ledger_state_single"),
    )
    op.create_table(
        "ledger_entry",
        sa.Column("entry_index", BIG, primary_key=True, autoincrement=False),
        sa.Column("entry", sa.LargeBinary, nullable=False),
        sa.Column("leaf_hash", sa.LargeBinary, nullable=False),
        sa.Column("chain_hash", sa.LargeBinary, nullable=False),
        sa.Column("asset", sa.Text, nullable=False),
        sa.Column("n", BIG, nullable=False),
        sa.UniqueConstraint("leaf_hash", name="ledger_entry_leaf_hash"),
        sa.UniqueConstraint("asset", "n", name="ledger_entry_asset_n"),
    )
    op.create_table(
        "ledger_node",
        sa.Column("level", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("position", BIG, primary_key=True, autoincrement=False),
        sa.Column("hash", sa.LargeBinary, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "ledger_checkpoint",
        sa.Column("size", BIG, primary_key=True, autoincrement=False),
        sa.Column("note", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "ledger_subject",
        sa.Column("entry_index", BIG, primary_key=True, autoincrement=False),
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("sha256", sa.LargeBinary, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("ledger_subject_sha256", "ledger_subject", ["sha256"])
    op.create_table(
        "ledger_key",
        sa.Column("key_id", sa.Text, primary_key=True),
        sa.Column("public_key", sa.LargeBinary, nullable=False),
        sa.Column("entry_index", BIG, nullable=False),
    )
    if op.get_bind().dialect.name == "sqlite":  # PostgreSQL gets its triggers with 0004
        create_triggers()


def create_triggers() -> None:
    for table, same in APPEND_ONLY.items():
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
    op.execute(
        "CREATE TRIGGER ledger_state_no_delete BEFORE DELETE ON ledger_state "
        "BEGIN SELECT RAISE(ABORT, 'ledger_state cannot be deleted'); END"
    )
    op.execute(
        "CREATE TRIGGER ledger_state_grows BEFORE UPDATE ON ledger_state "
        "WHEN NEW.id <> OLD.id OR NEW.origin <> OLD.origin OR NEW.vkey <> OLD.vkey OR NEW.size <= OLD.size "
        "BEGIN SELECT RAISE(ABORT, 'ledger_state only grows'); END"
    )


def downgrade() -> None:
    # Dropping a table drops its triggers and indexes.
    for table in (*reversed(APPEND_ONLY), "ledger_state"):
        op.drop_table(table)
