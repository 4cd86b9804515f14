#!/bin/sh
# Makes a database as POSTGRES_* say where there is none yet, then becomes the server.
set -eu
if [ ! -s "$PGDATA/PG_VERSION" ]; then
	# shellcheck disable=SC2086  # these are words
	initdb --username="$POSTGRES_USER" --pwfile="$POSTGRES_PASSWORD_FILE" ${POSTGRES_INITDB_ARGS:-} > /dev/null
	echo 'host all all all scram-sha-256' >> "$PGDATA/pg_hba.conf"
	pg_ctl --wait --options "-c listen_addresses=''" start
	createdb --username="$POSTGRES_USER" "$POSTGRES_DB"
	pg_ctl --wait --mode=fast stop
fi
exec "$@" -c listen_addresses='*'
