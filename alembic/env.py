"""What alembic runs for each migration, on the connection that `ledger.migration` hands over."""

from alembic import context
from sqlmodel import SQLModel

import ledger.tables  # noqa: F401  # registers the ledger's tables

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=SQLModel.metadata,
    transactional_ddl=True,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
