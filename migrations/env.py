"""Alembic's entry: runs the migrations on the connection that `migrations.runner` hands over."""

from alembic import context

from eventstore.schema import metadata

connection = context.config.attributes.get("connection")
if context.is_offline_mode():
    # Prints the SQL instead of running it: what the linter and a careful administrator read.
    context.configure(dialect_name="postgresql", target_metadata=metadata, literal_binds=True)
else:
    context.configure(connection=connection, target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
