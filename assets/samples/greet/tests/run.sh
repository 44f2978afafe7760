#!/bin/sh
# Runs every example; the exit code says how many failed.
cd "$(dirname "$0")/.." || exit 1
failed=0
expect() { # name, wanted, got
  if [ "$2" = "$3" ]; then
    echo "ok   $1"
  else
    echo "FAIL $1: wanted '$2', got '$3'"
    failed=$((failed + 1))
  fi
}

expect "greets the world" "Hello, world!" "$(sh greet.sh)"
expect "greets one person" "Hello, Ada!" "$(sh greet.sh Ada)"

exit $failed
