#!/usr/bin/env bash
# Puts the InfluxDB servers that the tests talk to on this machine: 1.6.7 from the system's
# packages, 1.8.10 and 2.7.12 built from source by Go (2.x needs cargo too, about 5 minutes).
#
# Says on stderr what it does and what could not be had; prints on stdout what tests may skip for
# that reason, for SATOMORI_MAY_SKIP. Ends with 0 unless no server at all could be had.
set -uo pipefail
cd "$(dirname "$0")/.."
tools=${TOOLS:-$PWD/.tools}
missing=()

say() { echo "install-influx: $*" >&2; }

have() { command -v "$1" >/dev/null; }

install_16() {
  have influxd && return
  say "installing Debian's influxdb"
  if have apt-get; then
    apt-get update -qq >&2
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends influxdb >&2
  fi
  have influxd
}

install_18() {
  [ -x "$tools/influxd-1.8.10/influxd" ] && return
  have go || { say "1.8.10 needs Go"; return 1; }
  say "building 1.8.10"
  GOBIN="$tools/influxd-1.8.10" go install github.com/influxdata/influxdb/cmd/influxd@v1.8.10 >&2
}

# `go install …@v2` is refused because of the replace line in its go.mod, so a small module of our
# own repeats that line. flux is a Rust library that Go finds through InfluxData's pkg-config; its
# pinned compiler is passed over for the one there is, whose newer warnings must not be errors.
install_2() {
  [ -x "$tools/influxd-2/influxd" ] && return
  for program in go cargo pkg-config cc; do
    have "$program" || { say "2.x needs $program"; return 1; }
  done
  say "building 2.7.12"
  local build="$tools/build-influxd-2"
  mkdir -p "$build" "$tools/influxd-2" && cd "$build" || return 1
  cat >go.mod <<'MOD'
module satomori.invalid/influxd

go 1.23.0

require (
	github.com/influxdata/influxdb/v2 v2.7.12
	github.com/influxdata/pkg-config v0.2.14
)

replace github.com/nats-io/nats-streaming-server v0.11.2 => github.com/influxdata/nats-streaming-server v0.11.3-0.20201112040610-c277f7560803
MOD
  cat >servers.go <<'GO'
//go:build servers

package servers

import (
	_ "github.com/influxdata/influxdb/v2/cmd/influxd"
	_ "github.com/influxdata/pkg-config"
)
GO
  cat >cargo.sh <<'SH'
#!/bin/sh
if command -v rustup >/dev/null; then
  RUSTUP_TOOLCHAIN=$(cd / && rustup default | cut -d' ' -f1)
  export RUSTUP_TOOLCHAIN
fi
chmod -R u+w .
sed -i '/feature = "strict", deny(warnings/d' flux/src/lib.rs flux-core/src/lib.rs
exec cargo "$@"
SH
  chmod +x cargo.sh
  export GOFLAGS="-mod=mod -buildvcs=false"
  GOBIN="$build/bin" go install github.com/influxdata/pkg-config >&2 &&
    CARGO="$build/cargo.sh" PKG_CONFIG="$build/bin/pkg-config" \
      timeout 1500 go build -tags sqlite_foreign_keys,sqlite_json -o "$tools/influxd-2/influxd" \
      github.com/influxdata/influxdb/v2/cmd/influxd >&2
}

try() {
  local name=$1 step=$2
  if ("$step"); then
    say "$name is there"
  else
    say "$name could NOT be had: its tests are skipped, the other generations stand in"
    missing+=("$name")
  fi
}

try "InfluxDB 1.6" install_16
try "InfluxDB 1.8" install_18
try "InfluxDB 2" install_2

(IFS=, && echo "${missing[*]:-}")
[ ${#missing[@]} -lt 3 ]
