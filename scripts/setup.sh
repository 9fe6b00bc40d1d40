#!/usr/bin/env bash
# Set up a fresh Debian or Ubuntu machine: the system packages (through apt, as root or with sudo), then a virtual environment
# in .venv with the project and its pinned dependencies. Does nothing when all is there.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf '%s\n' "$*" >&2; }

PACKAGES=()
need() { command -v "$1" >/dev/null 2>&1 || PACKAGES+=("$2"); }
need arm-none-eabi-gcc gcc-arm-none-eabi
need qemu-system-arm qemu-system-arm
need cc build-essential
need make make
if command -v dpkg-query >/dev/null 2>&1; then
  dpkg-query -W libnewlib-arm-none-eabi >/dev/null 2>&1 || PACKAGES+=(libnewlib-arm-none-eabi)
fi
PYTHON=${PYTHON:-python3.11}
command -v "$PYTHON" >/dev/null 2>&1 || PACKAGES+=(python3.11)
if ! "$PYTHON" -c 'import venv, ensurepip' >/dev/null 2>&1; then PACKAGES+=(python3.11-venv); fi

if [ ${#PACKAGES[@]} -gt 0 ]; then
  if ! command -v apt-get >/dev/null 2>&1; then
    say "missing: ${PACKAGES[*]} (names of Debian packages); install them and run this again"
    exit 7
  fi
  if [ "$(id -u)" -eq 0 ]; then SUDO=(); elif sudo -n true 2>/dev/null; then SUDO=(sudo -n); else
    say "missing system packages; run: sudo apt-get install -y ${PACKAGES[*]}"
    exit 7
  fi
  say "installing ${PACKAGES[*]}"
  "${SUDO[@]}" apt-get update -qq
  "${SUDO[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${PACKAGES[@]}" >&2
fi

EXTRAS=${EXTRAS:-test}
STAMP=".venv/.ready-$EXTRAS"
WANTED=$(sha256sum pyproject.toml | cut -d' ' -f1)
if [ "$(cat "$STAMP" 2>/dev/null || true)" != "$WANTED" ]; then
  [ -x .venv/bin/python ] || "$PYTHON" -m venv .venv
  say "installing Python packages into .venv (the first time takes a few minutes)"
  .venv/bin/python -m pip install -q --disable-pip-version-check --editable ".[$EXTRAS]"
  printf '%s\n' "$WANTED" >"$STAMP"
fi
