# Sourced by the other scripts: puts what they need into .venv, once. Nothing outside .venv is installed.
#
#   ready NAME REQUIREMENT...    the requirements are in .venv; "." stands for this project
#
# An interpreter of your choice: PYTHON=python3.12 bash scripts/test

say() { printf '%s\n' "$*" >&2; }

recent() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

find_python() {
    local candidate
    for candidate in "${PYTHON:-python3}" python3.13 python3.12 python3.11; do
        if recent "$candidate"; then
            printf '%s' "$candidate"
            return
        fi
        [ -z "${PYTHON:-}" ] || break
    done
    say "jaxann needs Python 3.11 or newer. Found: $("${PYTHON:-python3}" --version 2>/dev/null || printf 'no %s' "${PYTHON:-python3}")."
    say "Install one, or name it: PYTHON=/path/to/python3.12 bash scripts/test"
    return 1
}

make_venv() {
    local base
    base="$(find_python)"
    if [ -e .venv ] && ! recent .venv/bin/python; then
        say "The folder .venv holds no working Python of 3.11 or newer. Remove it and run this again."
        return 1
    fi
    if ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
        say "Making .venv with $("$base" --version)."
        if ! "$base" -m venv .venv >&2; then
            rm -rf .venv
            say "$base could not make a virtual environment (on Debian and Ubuntu: apt install python3-venv)."
            return 1
        fi
    fi
}

ready() {
    local name="$1" stamp want
    shift
    make_venv
    stamp=".venv/jaxann-$name.stamp"
    want="$PWD $(cksum <pyproject.toml) $*"  # the path: a moved folder has to be installed again
    if [ "$(cat "$stamp" 2>/dev/null)" != "$want" ]; then
        say "Installing what $name needs into .venv: once, a few minutes."
        .venv/bin/python -m pip install --quiet --disable-pip-version-check "$@"
        printf '%s\n' "$want" >"$stamp"
    fi
}
