#!/bin/sh
# Builds the images that stand in for those of deploy/compose, from the Debian packages this machine gets its own from.
# Needs root, debootstrap and a container engine; some two minutes and 1 GB.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
release=trixie
packages=python3,python3-venv,postgresql-17,rabbitmq-server,nginx-light,curl,ca-certificates

# shellcheck disable=SC2016  # apt-get fills them in
mirror=$(apt-get indextargets --format '$(ORIGIN) $(REPO_URI)' | awk '$1 == "Debian" && $2 !~ /security/ {print $2; exit}')
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
if [ -z "$(docker images --quiet outrigger-stand-in:debian)" ]; then
	debootstrap --variant=minbase --include="$packages" "$release" "$folder/root" "$mirror" > "$folder/log" || {
		tail -n 20 "$folder/log" >&2
		exit 1
	}
	tar -C "$folder/root" -c . | docker import - outrigger-stand-in:debian > /dev/null
fi
mkdir "$folder/context"
cp "$here/Dockerfile" "$here/postgres-entrypoint.sh" "$folder/context"
# What lets this machine reach the package registry lets the image reach it.
cp /etc/ssl/certs/ca-certificates.crt "$folder/context/trusted.crt"
cat /etc/pip.conf > "$folder/context/pip.conf" 2> /dev/null || : > "$folder/context/pip.conf"
for name in python postgres rabbitmq nginx; do
	DOCKER_BUILDKIT=1 docker build --quiet --target "$name" --tag "outrigger-stand-in:$name" "$folder/context" > /dev/null
	echo "outrigger-stand-in:$name"
done
