#!/bin/sh
# Builds a release twice, in two copies of the repository, compares the bytes, and tests what was built. $1 lists the systems, as
# for -only of packaging/release.
set -eu
cd "$(dirname "$0")/.."

git diff --quiet HEAD || { echo "commit first: a release is built of a commit" >&2; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for n in one another-directory; do
	git clone --quiet . "$work/$n"
	(cd "$work/$n" && go run ./packaging/release -o "$work/out-$n" -only "$1")
done
diff -r "$work/out-one" "$work/out-another-directory"
echo "the same bytes twice:"
cat "$work/out-one/SHA256SUMS"
RELEASE=$work/out-one go test -count=1 -v ./packaging/release
(cd packaging/kubernetes/check && go test -count=1 .)
