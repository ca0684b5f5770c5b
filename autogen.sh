#!/bin/sh
# Makes ./configure from configure.ac. Needed in a git checkout only; release tarballs carry it.
set -e
cd "$(dirname "$0")"
autoreconf --install --warnings=all,no-obsolete
