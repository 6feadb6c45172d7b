"""What alembic runs for each migration, on the connection that `ledger.migration` hands over."""

from sqlmodel import SQLModel

import ledger.tables  # noqa: F401  # registers the ledger's tables
from alembic import context

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=SQLModel.metadata,
    transactional_ddl=True,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
