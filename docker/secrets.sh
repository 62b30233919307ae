#!/bin/sh
# Makes the secrets of compose.yaml in docker/secrets, those that are not there yet. Each file is one random value.
# They are mounted into containers that run as other users: so every user may read a file, but only this user the folder.
set -eu
cd "$(dirname "$0")"
mkdir -p -m 700 secrets
for name in postgres dirtbike_postgres clickhouse hash_key ops_token; do
  [ -s "secrets/$name" ] || od -An -N32 -tx1 /dev/urandom | tr -d ' \n' >"secrets/$name"
  chmod 444 "secrets/$name"
done
