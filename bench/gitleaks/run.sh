#!/bin/sh
# Builds gitleaks outside of this module and times it and Seawall's secret search
# over the same directory, one core each. Usage: run.sh DIR
set -eu
dir=${1:?usage: run.sh DIR}
here=$(cd "$(dirname "$0")" && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/seawall-bench
mkdir -p "$cache"
[ -x "$cache/gitleaks" ] || GOBIN=$cache CGO_ENABLED=0 go install github.com/zricethezav/gitleaks/v8@v8.30.0
bytes=$(find "$dir" -type f -printf '%s\n' | awk '{s+=$1} END {print s}')
echo "directory: $dir, $bytes bytes"
start=$(date +%s.%N)
GOMAXPROCS=1 "$cache/gitleaks" dir "$dir" --no-banner --exit-code 0 --report-path "$cache/gitleaks.json" 
end=$(date +%s.%N)
echo "gitleaks: $(awk -v a="$start" -v b="$end" -v n="$bytes" 'BEGIN {printf "%.2f s, %.1f MB/s", b-a, n/(b-a)/1e6}'), $(grep -c '"RuleID"' "$cache/gitleaks.json" || true) findings"
cd "$here/../.." && SEAWALL_BENCH_DIR=$dir GOMAXPROCS=1 go test -run '^$' -bench 'BenchmarkSearch$' -benchtime 3x ./internal/detect/secret | grep Benchmark
