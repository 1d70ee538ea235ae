# Shared by the scripts: sourced, not run.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if ! command -v swift >/dev/null; then
    echo "$(basename "$0"): no 'swift' in PATH; install Swift 6.3 or newer (swift.org/install) and try again" >&2
    exit 1
fi

# Runs a build quietly: its output appears only when it fails.
build() {
    local log began=$SECONDS
    log=$(mktemp)
    echo "Building (a first build takes a minute or two)"
    if ! swift build "$@" >"$log" 2>&1; then
        grep -E 'error:|warning:' "$log" | sort -u | head -n 40 >&2 || true
        tail -n 5 "$log" >&2
        echo "$(basename "$0"): the build failed, see $log" >&2
        exit 1
    fi
    rm -f "$log"
    echo "Built in $((SECONDS - began)) s"
}
