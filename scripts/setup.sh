#!/usr/bin/env bash
# Set up a fresh Debian or Ubuntu machine: the system packages (through apt, as root or with sudo), then a virtual environment
# in .venv with the project, its pinned dependencies and the extras of pyproject.toml that are named, by default
# torch,test,lint. What is there stays and nothing is run twice. The extra `lint` needs no compiler and no emulator.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf '%s\n' "$*" >&2; }

IFS=, read -ra EXTRAS <<<"${1:-torch,test,lint}"

PACKAGES=()
need() { command -v "$1" >/dev/null 2>&1 || PACKAGES+=("$2"); }
need make make
if [ "${EXTRAS[*]}" != lint ]; then
  need arm-none-eabi-gcc gcc-arm-none-eabi
  need qemu-system-arm qemu-system-arm
  need cc build-essential
  if command -v dpkg-query >/dev/null 2>&1; then
    dpkg-query -W libnewlib-arm-none-eabi >/dev/null 2>&1 || PACKAGES+=(libnewlib-arm-none-eabi)
  fi
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

# One stamp an extra, so that one more extra adds what it needs and no more.
WANTED=$(sha256sum pyproject.toml | cut -d' ' -f1)
MISSING=()
for EXTRA in "${EXTRAS[@]}"; do
  [ "$(cat ".venv/.ready-$EXTRA" 2>/dev/null || true)" = "$WANTED" ] || MISSING+=("$EXTRA")
done
if [ ${#MISSING[@]} -gt 0 ]; then
  [ -x .venv/bin/python ] || "$PYTHON" -m venv .venv
  NAMES=$(IFS=,; printf '%s' "${MISSING[*]}")
  say "installing Python packages into .venv for: $NAMES (the first time takes a few minutes)"
  .venv/bin/python -m pip install -q --disable-pip-version-check --editable ".[$NAMES]"
  for EXTRA in "${MISSING[@]}"; do printf '%s\n' "$WANTED" >".venv/.ready-$EXTRA"; done
fi
