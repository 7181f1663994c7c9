#!/usr/bin/env bash
# Is the package complete? Builds the wheel, installs it in an empty environment without extras, and uses it there.
#
#   scripts/check_wheel.sh [PYTHON]
set -euo pipefail

python=$(command -v "${1:-python3}")
case $python in /*) ;; *) python=$PWD/$python ;; esac
root=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail() {
    printf 'wheel check: %s\n' "$1" >&2
    exit 1
}

pip() {
    local interpreter=$1
    shift
    "$interpreter" -m pip --quiet --disable-pip-version-check "$@"
}

pip "$python" wheel --no-deps --wheel-dir "$work/dist" "$root"
wheels=("$work"/dist/zeep_secureconv-*.whl)
[ ${#wheels[@]} -eq 1 ] || fail "expected one wheel, found ${#wheels[@]}"

"$python" - "${wheels[0]}" "$root" <<'PYTHON'
import pathlib
import sys
import zipfile

wheel, root = sys.argv[1], pathlib.Path(sys.argv[2])
names = set(zipfile.ZipFile(wheel).namelist())
package = {name for name in names if ".dist-info/" not in name}
expected = {
    path.relative_to(root).as_posix()
    for path in (root / "zeep_secureconv").rglob("*")
    if path.is_file() and "__pycache__" not in path.parts
}
if package != expected:
    sys.exit(f"wheel check: missing {sorted(expected - package)}, too much {sorted(package - expected)}")
if not any(name.endswith(".dist-info/licenses/LICENSE") for name in names):
    sys.exit("wheel check: no licence")
PYTHON

cd "$work"
"$python" -m venv empty
empty=$work/empty/bin
pip "$empty/python" install "${wheels[0]}"

for absent in click rich redis httpx cheroot pybase64; do
    ! "$empty/python" -I -c "import $absent" 2>"$work/import" || fail "$absent came without its extra"
    grep -q ModuleNotFoundError "$work/import" || fail "importing $absent says $(cat "$work/import")"
done
"$empty/python" -I -W error -c '
import zeep_secureconv as package
for name in package.__all__:
    getattr(package, name)
'

said=$("$empty/zeep-secureconv" --help 2>&1) && fail 'the command line works without the extra "cli": is it one?'
grep -qF 'zeep_secureconv[cli]' <<<"$said" || fail "the command line does not say what to install: $said"
! grep -qF Traceback <<<"$said" || fail "the command line shows a traceback: $said"
[ "$("$empty/python" -m zeep_secureconv --help 2>&1)" = "$said" ] || fail 'python -m says something else'

echo "wheel check: $(basename "${wheels[0]}") is complete and works without extras"
