#!/bin/sh
# The sidecar: greets the person that its argument names.
echo "Hello, $1!"
echo "sidecar: $0" >&2
