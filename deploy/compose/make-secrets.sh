#!/bin/sh
# Makes the secrets that need not come from elsewhere, as files that only their readers can read; keeps what is there.
# Secrets that a CRM gives you go into their files afterwards; the certificate goes into tls_certificate and tls_key.
set -eu
cd "$(dirname "$0")"
umask 077
mkdir -p secrets
cd secrets

random() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }
make_unless_there() { [ -e "$1" ] || printf '%s\n' "$2" > "$1"; }

make_unless_there postgres_password "$(random)"
make_unless_there secret_key "$(random)"
make_unless_there database_url "postgresql+psycopg://outrigger:$(cat postgres_password)@postgres/outrigger"
if [ ! -e rabbitmq_user ]; then
	password=$(random)
	printf 'default_user = outrigger\ndefault_pass = %s\n' "$password" > rabbitmq_user
	printf 'amqp://outrigger:%s@rabbitmq:5672//\n' "$password" > broker_url
fi
for name in crm_webhook_secret erp_webhook_secret hubspot_client_secret service_desk_token; do
	make_unless_there "$name" "whsec_$(head -c 32 /dev/urandom | base64 | tr -d '\n')"
done
if [ ! -e tls_certificate ]; then
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -subj /CN=outrigger.example.com \
		-keyout tls_key -out tls_certificate 2>/dev/null
	echo 'tls_certificate signs itself, for a trial: put a real one into its place.' >&2
fi

# Compose mounts these files as they are, so each belongs to the user of the container that reads it.
if [ "$(id -u)" = 0 ]; then
	chown 10001:10001 database_url broker_url secret_key ./*_webhook_secret hubspot_client_secret service_desk_token
	chown 999:999 postgres_password rabbitmq_user
	chown 101:101 tls_certificate tls_key
else
	echo 'Run this as root, or the containers, each a user of its own, cannot read their secrets.' >&2
fi
