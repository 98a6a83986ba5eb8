#!/bin/sh
# Prints its arguments, one a line.
printf '%s\n' "$@"
