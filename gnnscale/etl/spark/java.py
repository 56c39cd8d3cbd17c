"""The Java that Spark starts: found, and new enough, before Spark would fail without saying why."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from gnnscale.schema import GnnscaleError

LEAST = 17


def choose_java() -> None:
    """See that Spark will start a Java that it can run on: of JAVA_HOME, else of PATH.

    A JAVA_HOME that is too old is passed over where PATH has a newer one.

    Raises:
        GnnscaleError: there is none of version 17 or newer.
    """
    home = os.environ.get("JAVA_HOME")
    tried = [str(Path(home) / "bin" / "java")] if home else []
    if found := shutil.which("java"):
        tried.append(found)
    versions = {java: java_version(java) for java in tried}
    for java, version in versions.items():
        if version is not None and version >= LEAST:
            if java == found:
                # Spark takes JAVA_HOME first.
                os.environ.pop("JAVA_HOME", None)
            return
    seen = ", ".join(f"{java} is {version or 'not a Java'}" for java, version in versions.items()) or "none was found"
    raise GnnscaleError(
        f"Spark needs Java {LEAST} or newer in JAVA_HOME or PATH ({seen}). "
        f"On Debian and Ubuntu: sudo apt-get install openjdk-{LEAST}-jre-headless"
    )


def java_version(java: str) -> int | None:
    """Major version of a ``java`` program, or None where it does not run."""
    try:
        said = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=60, check=False).stderr
    except OSError:
        return None
    match = re.search(r'version "(\d+)(?:\.(\d+))?', said)
    if match is None:
        return None
    # Java 8 called itself 1.8.
    return int(match[2] or 0) if match[1] == "1" else int(match[1])
