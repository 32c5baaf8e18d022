#!/bin/sh
# Prints a new token by client credentials (RFC 6749 section 4.4), with curl:
#
#   TOKEN_COMMAND=./token.sh ./talk.sh
#
# From the environment: TOKEN_URL, CLIENT_ID, CLIENT_SECRET. Without them it asks
# the development issuer that runs with `make run`, whose secret is public.
set -eu
url=${TOKEN_URL:-http://127.0.0.1:8880/token}
id=${CLIENT_ID:-dev-device}
secret=${CLIENT_SECRET:-dev-secret}

case $id$secret in
*[!A-Za-z0-9._~-]*) echo "token.sh: CLIENT_ID and CLIENT_SECRET: other characters than A-Za-z0-9._~- need form-encoding, which this script does not do" >&2; exit 64 ;;
esac

# The secret goes to curl on standard input: other users can read argument lists.
answer=$(printf 'user = "%s:%s"\n' "$id" "$secret" |
	curl -sS --fail --max-time 10 -K - -d grant_type=client_credentials "$url")
token=$(printf '%s' "$answer" | sed -n 's/.*"access_token" *: *"\([A-Za-z0-9._-]*\)".*/\1/p')
[ -n "$token" ] || { echo "token.sh: $url answered without a token" >&2; exit 1; }
printf '%s\n' "$token"
