"""What the machine must have before anything is fetched or started."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

from .errors import StackError
from .layout import CLONE

PYTHON_AT_LEAST = (3, 11)
NODE_AT_LEAST = 20
# Cassandra 5.0 runs on 11 and 17 only, the registry and Kafka's broker want at least 17.
JAVA_EXACTLY = 17


def check() -> None:
    """Name every missing thing at once, each with its fix."""
    problems = list(_problems())
    if problems:
        raise StackError(
            "This machine lacks what the stack needs:\n"
            + "\n".join(f"  - {problem}" for problem in problems)
        )


def java() -> Path:
    """A Java of the right version: JAVA_HOME, then PATH, then where Debian installs one."""
    candidates = []
    if home := os.environ.get("JAVA_HOME"):
        candidates.append(Path(home) / "bin" / "java")
    if on_path := shutil.which("java"):
        candidates.append(Path(on_path))
    candidates += sorted(Path("/usr/lib/jvm").glob(f"*-{JAVA_EXACTLY}-*/bin/java"))
    for candidate in candidates:
        if _version([str(candidate), "-version"], r'version "(\d+)') == (JAVA_EXACTLY,):
            return candidate.resolve()
    raise StackError(
        f"no JDK {JAVA_EXACTLY} (Cassandra runs on no later one): "
        f"apt-get install openjdk-{JAVA_EXACTLY}-jdk-headless, or point JAVA_HOME to one"
    )


def _problems() -> Iterator[str]:
    yield from _linux()
    yield from _python()
    yield from _rust()
    for command, package in (("cc", "gcc"), ("make", "make"), ("pkg-config", "pkg-config"), ("curl", "curl")):
        if not shutil.which(command):
            yield f"no {command}: apt-get install {package}"
    if shutil.which("pkg-config") and _output(["pkg-config", "--exists", "openssl"]) is None:
        yield "no OpenSSL headers (Kafka's client is built against them): apt-get install libssl-dev"
    try:
        java()
    except StackError as error:
        yield str(error)
    if not shutil.which("mvn"):
        yield "no mvn (Kafka, Cassandra and the registry come from Maven): apt-get install maven"
    node = _version(["node", "--version"], r"v(\d+)")
    if node is None or node < (NODE_AT_LEAST,):
        yield f"no Node {NODE_AT_LEAST} or newer (mailbox): install Node {NODE_AT_LEAST} LTS"
    if not shutil.which("npm"):
        yield "no npm: it comes with Node, on Debian as a package of its own: apt-get install npm"


def _linux() -> Iterator[str]:
    if sys.platform != "linux" or os.uname().machine != "x86_64":
        yield "not Linux on x86-64: the pinned Envoy is built for that; use a virtual machine"


def _python() -> Iterator[str]:
    wanted = ".".join(map(str, PYTHON_AT_LEAST))
    if sys.version_info < PYTHON_AT_LEAST:
        yield f"Python {sys.version.split()[0]} is too old: apt-get install python{wanted}"
    try:
        import ensurepip  # noqa: F401 - Debian packs it apart from Python
        import venv  # noqa: F401
    except ImportError:
        yield f"Python without venv (Envoy is installed by pip): apt-get install python{wanted}-venv"


def _rust() -> Iterator[str]:
    toolchain = tomllib.loads((CLONE / "rust-toolchain.toml").read_text())["toolchain"]["channel"]
    if not shutil.which("cargo"):
        yield f"no cargo: install rustup, then `rustup toolchain install {toolchain}`"
        return
    # Without the setting rustup would start a download here, in the middle of a check.
    found = _output(["cargo", "--version"], env={**os.environ, "RUSTUP_AUTO_INSTALL": "0"})
    if found is None:
        yield (
            f"cargo does not start with toolchain {toolchain}: `rustup toolchain install {toolchain}`"
            " (rustup looks in RUSTUP_HOME, else in HOME/.rustup: is HOME the one it was installed with?)"
        )
    elif f" {toolchain} " not in f"{found} ":
        yield f"{found.strip()}, but rust-toolchain.toml names {toolchain}: `rustup toolchain install {toolchain}`"


def _version(command: list[str], pattern: str) -> tuple[int, ...] | None:
    match = re.search(pattern, _output(command) or "")
    return tuple(map(int, match.groups())) if match else None


def _output(command: list[str], env: dict[str, str] | None = None) -> str | None:
    """What a command prints, or None where it is missing or fails."""
    try:
        ran = subprocess.run(
            command, env=env, cwd=CLONE, text=True, timeout=60,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return ran.stdout if ran.returncode == 0 else None
