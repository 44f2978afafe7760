#!/bin/sh
# Greets one person by name.
name=${1:-world}
echo "Hello, $name!"
