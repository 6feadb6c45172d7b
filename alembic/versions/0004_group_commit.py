"""No index of leaf hashes (a place is unique), idempotency keys, the ledger's lock stores; PostgreSQL.

PostgreSQL begins with this revision: it gets its triggers here, and the tables of `ledger.sharing`, through
which the workers of many processes reach the one that appends.
"""

import sqlalchemy as sa
from alembic import op

revision = "0004_group_commit"
down_revision = "0003_attestation"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer, "sqlite")
WITHOUT_LEAF = "entry_index = NEW.entry_index OR (asset = NEW.asset AND n = NEW.n)"
WITH_LEAF = "entry_index = NEW.entry_index OR leaf_hash = NEW.leaf_hash OR (asset = NEW.asset AND n = NEW.n)"
POSTGRES_TABLES = (
    "ledger_entry",
    "ledger_node",
    "ledger_checkpoint",
    "ledger_subject",
    "ledger_key",
    "ledger_request",
    "ledger_guard",
)
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
    if op.get_bind().dialect.name == "postgresql":
        op.drop_constraint("ledger_entry_leaf_hash", "ledger_entry")
        prepare_postgres()
        return
    copy_entries()
    create_triggers("ledger_entry", WITHOUT_LEAF)
    for table, same in NEW_TABLES.items():
        create_triggers(table, same)


def downgrade() -> None:
    for table in NEW_TABLES:
        op.drop_table(table)
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION ledger_append_only, ledger_state_grows CASCADE")
        op.execute("DROP TABLE ledger_pending, ledger_outcome")
        op.create_unique_constraint("ledger_entry_leaf_hash", "ledger_entry", ["leaf_hash"])
        return
    copy_entries(sa.UniqueConstraint("leaf_hash", name="ledger_entry_leaf_hash"))
    create_triggers("ledger_entry", WITH_LEAF)


def prepare_postgres() -> None:
    """Keep tables append-only, and make those in which submissions wait and their outcomes are fetched."""
    op.execute(
        "CREATE FUNCTION ledger_append_only() RETURNS trigger LANGUAGE plpgsql AS "
        "$$BEGIN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME; END$$"
    )
    op.execute(
        "CREATE FUNCTION ledger_state_grows() RETURNS trigger LANGUAGE plpgsql AS "
        "$$BEGIN IF TG_OP <> 'UPDATE' THEN RAISE EXCEPTION 'ledger_state cannot be deleted'; END IF; "
        "IF NEW.id <> OLD.id OR NEW.origin <> OLD.origin OR NEW.vkey <> OLD.vkey OR NEW.size <= OLD.size "
        "THEN RAISE EXCEPTION 'ledger_state only grows'; END IF; RETURN NEW; END$$"
    )
    for table in (*POSTGRES_TABLES, "ledger_state"):
        function = "ledger_state_grows" if table == "ledger_state" else "ledger_append_only"
        for name, events, unit in (("rows", "UPDATE OR DELETE", "ROW"), ("table", "TRUNCATE", "STATEMENT")):
            op.execute(
                f"CREATE TRIGGER {table}_{name} BEFORE {events} ON {table} FOR EACH {unit} "
                f"EXECUTE FUNCTION {function}()"
            )
    op.execute(
        "CREATE TABLE ledger_pending (pending_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,"
        " body bytea NOT NULL, tag bytea NOT NULL)"
    )
    op.execute(
        "CREATE TABLE ledger_outcome (pending_id bigint PRIMARY KEY, body bytea NOT NULL,"
        " made timestamptz NOT NULL DEFAULT now())"
    )


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
