#!/usr/bin/env bash
# Makes sure that a server for the demo is there: mosquitto or influxdb, from the system's packages
# where that is allowed. Without mosquitto an embedded broker is installed that is for trying out only.
set -eu
server=$1 pip=$2
case $server in
  mosquitto) binary=mosquitto ;;
  influxdb) binary=influxd ;;
  *) echo "ensure-server: unknown server $server" >&2; exit 2 ;;
esac
PATH=$PATH:/usr/sbin:/usr/local/sbin
command -v "$binary" >/dev/null && exit 0

as_root=
if [ "$(id -u)" -ne 0 ]; then
  if command -v sudo >/dev/null && sudo -n true 2>/dev/null; then as_root="sudo -n"; else as_root=no; fi
fi
if [ "$as_root" != no ] && command -v apt-get >/dev/null; then
  echo "$server is missing: installing it from the system's packages"
  $as_root apt-get update -qq || true
  if $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$server" >/dev/null; then exit 0; fi
fi
if [ "$server" = mosquitto ]; then
  echo "mosquitto cannot be installed here: taking an embedded broker, for trying out only"
  exec "$pip" install -q --require-hashes -r requirements-embedded.lock
fi
echo "$server is missing and cannot be installed here (try: sudo apt-get install $server)" >&2
exit 1
