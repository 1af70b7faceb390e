"""Rights of the role the operator runs as: it reads the ledger, appends through functions, and writes read models."""

from sqlalchemy import Connection, text

#: Tables of the ledger itself: never written but by its own functions.
LEDGER_TABLES = ("events", "stream_heads", "platform_states", "contents", "leases", "alembic_version")


def grant_to_app_role(connection: Connection, role: str) -> None:
    """Give the (existing) role what it needs in the current schema, and take away what it must not have."""
    # The statements are put together by the server (format %I), which knows how to quote its own names.
    statements = connection.scalars(
        text(
            """
            SELECT format('GRANT USAGE ON SCHEMA %I TO %I', current_schema(), CAST(:role AS text))
            UNION ALL
            SELECT format('REVOKE ALL ON TABLE %s FROM %I', oid::regclass, CAST(:role AS text))
              FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p', 'v')
            UNION ALL
            SELECT format(
                     CASE WHEN relname = ANY(CAST(:ledger AS text[])) OR relkind = 'v'
                          THEN 'GRANT SELECT ON TABLE %s TO %I'
                          ELSE 'GRANT SELECT, INSERT, UPDATE, DELETE ON TABLE %s TO %I' END,
                     oid::regclass, CAST(:role AS text))
              FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p', 'v')
            UNION ALL
            SELECT format('GRANT EXECUTE ON FUNCTION %s TO %I', oid::regprocedure, CAST(:role AS text))
              FROM pg_proc
             WHERE pronamespace = current_schema()::regnamespace AND proname LIKE 'ledger\\_%'
               AND prorettype <> 'trigger'::regtype
            """
        ),
        {"role": role, "ledger": list(LEDGER_TABLES)},
    ).all()
    for statement in statements:
        connection.exec_driver_sql(statement.replace("%", "%%"))
