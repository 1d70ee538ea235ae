#!/bin/bash
# Roles of the database and their passwords. The image runs this when it makes a new database; run it again after a
# password has changed: docker compose exec postgres /docker-entrypoint-initdb.d/10-roles.sh
#
#   oms         the registry: owns the database, is no superuser
#   oms_report  may read the views of schema report (the registry's migrations grant that); cannot log in
#   reporter    logs in for reports; read-only, and a forgotten query ends after a minute
set -euo pipefail

# psql reads the passwords itself, so they stand in no command line and in no environment. The log would show them.
psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --username "${POSTGRES_USER:-postgres}" --dbname "$POSTGRES_DB" <<'SQL'
\set superuser_password `cat /run/secrets/pg-superuser`
\set oms_password `cat /run/secrets/pg-oms`
\set reporter_password `cat /run/secrets/pg-reporter`
SET log_statement = 'none';
SET log_min_error_statement = 'panic';
SET password_encryption = 'scram-sha-256';

SELECT format('CREATE ROLE %I', name) FROM unnest(ARRAY['oms', 'oms_report', 'reporter']) name
  WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) \gexec
ALTER ROLE CURRENT_USER PASSWORD :'superuser_password';
ALTER ROLE oms LOGIN PASSWORD :'oms_password';
ALTER ROLE oms_report NOLOGIN;
ALTER ROLE reporter LOGIN PASSWORD :'reporter_password' CONNECTION LIMIT 10;
-- Settings do not come with membership, so they are the login role's own.
ALTER ROLE reporter SET default_transaction_read_only = on;
ALTER ROLE reporter SET statement_timeout = '60s';
ALTER ROLE reporter SET search_path = report;
ALTER ROLE reporter SET timezone = 'UTC';
-- The one limit that the role cannot lift for itself: a sort without end must not fill the registry's disk.
ALTER ROLE reporter SET temp_file_limit = '1GB';

SELECT format('GRANT oms_report TO reporter') WHERE NOT pg_has_role('reporter', 'oms_report', 'member') \gexec
SELECT format('ALTER DATABASE %I OWNER TO oms', current_database()) \gexec
SELECT format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database()) \gexec
SELECT format('GRANT CONNECT ON DATABASE %I TO oms_report', current_database()) \gexec
SQL
