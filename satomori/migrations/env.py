"""Alembic's entry: runs the revisions in the transaction that `satomori.migrations` opened."""

from __future__ import annotations

from alembic import context

from satomori.migrations import all_tables

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=all_tables(),
    transactional_ddl=True,  # of SQLite too: our engine says BEGIN itself
    transaction_per_migration=False,
    render_as_batch=True,  # SQLite alters a table by copying it
)
context.run_migrations()
