#!/usr/bin/env bash
# fuzz.sh TIME: runs every fuzz target for TIME, one after the other, and stops at the first
# that finds something. A target that was only stopped late at its time's end found nothing:
# before Go 1.27 that reads "context deadline exceeded" (golang/go#75804).
set -euo pipefail
time=$1
log=$(mktemp)
trap 'rm -f "$log"' EXIT

late() { grep -q '^    context deadline exceeded$' "$log" && ! grep -q 'Failing input written\|^panic:' "$log"; }

git ls-files '*_test.go' | xargs grep -l '^func Fuzz' | xargs -n1 dirname | sort -u | while read -r folder; do
  sed -n 's/^func \(Fuzz[A-Za-z0-9]*\)(.*/\1/p' "$folder"/*_test.go | while read -r target; do
    go test -run '^$' -fuzz "^$target\$" -fuzztime "$time" -fuzzminimizetime 1x "./$folder" 2>&1 </dev/null | tee "$log" ||
      { late && echo "$target: stopped late, found nothing"; }
  done
done
