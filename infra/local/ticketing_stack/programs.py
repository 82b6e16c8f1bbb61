"""What a program of the stack is, and how its process is started, recognised and stopped."""

import hashlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from .errors import StackError
from .layout import Stack

# A log that has grown past this is put aside at the next start of its program.
LOG_BYTES_AT_MOST = 64 * 1024 * 1024
POLL_SECONDS = 0.05

# A program gets these from the caller and nothing else, so that a stack is the same
# whoever starts it.
INHERITED = ("PATH", "HOME", "LANG", "TZ", "TMPDIR", "SSL_CERT_FILE", "RUST_BACKTRACE")


@dataclass(frozen=True)
class Program:
    name: str
    argv: list[str]
    ready: Callable[[], None]
    """Returns when it answers, raises readiness.NotReady while it does not."""
    port_names: tuple[str, ...]
    stop_seconds: int
    """How long it may take to stop before it is killed."""
    environment: dict[str, str] = field(default_factory=dict)
    inputs: tuple[Path, ...] = ()
    """Files whose change means that a running one is out of date."""
    prepare: Callable[[], None] = lambda: None
    """Runs before each start."""

    @property
    def fingerprint(self) -> str:
        digest = hashlib.sha256(json.dumps([self.argv, self.environment]).encode())
        for path in self.inputs:
            digest.update(path.read_bytes())
        return digest.hexdigest()


@dataclass(frozen=True)
class Process:
    """A program that was started. It is kept in a file, so that any later command knows it."""

    name: str
    pid: int
    started_ticks: int
    """Since boot. With the pid and the command it tells the process from a later one."""
    argv: list[str]
    fingerprint: str
    stop_seconds: int

    @property
    def alive(self) -> bool:
        """Until nothing of it is left: a killed process loses its memory first, and with it its command line, then its
        threads one by one, and only with the last of them its ports."""
        return (
            _started_ticks(self.pid) == self.started_ticks
            and _command_line(self.pid) in (self.argv, [])
        )

    @property
    def memory_mib(self) -> int:
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) // 1024
        return 0


def environment_of(own: dict[str, str]) -> dict[str, str]:
    return {name: os.environ[name] for name in INHERITED if name in os.environ} | own


def log_of(stack: Stack, name: str) -> Path:
    return stack.logs / f"{name}.log"


def launch(stack: Stack, program: Program) -> subprocess.Popen:
    """Start it in a session of its own: it survives this command and its terminal."""
    for folder in (stack.data, stack.logs, stack.records):
        folder.mkdir(parents=True, exist_ok=True)
    program.prepare()
    log = log_of(stack, program.name)
    if log.exists() and log.stat().st_size > LOG_BYTES_AT_MOST:
        log.rename(log.with_suffix(".log.1"))
    with open(log, "ab") as output:
        child = subprocess.Popen(
            program.argv,
            env=environment_of(program.environment),
            cwd=stack.folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    process = Process(
        name=program.name,
        pid=child.pid,
        started_ticks=_started_ticks(child.pid) or 0,
        argv=program.argv,
        fingerprint=program.fingerprint,
        stop_seconds=program.stop_seconds,
    )
    _record(stack, program.name).write_text(json.dumps(asdict(process), indent=2))
    return child


def process_of(stack: Stack, name: str) -> Process | None:
    """The running process of a program, if it runs."""
    try:
        process = Process(**json.loads(_record(stack, name).read_text()))
    except FileNotFoundError:
        return None
    return process if process.alive else None


def running(stack: Stack) -> dict[str, Process]:
    names = [record.stem for record in stack.records.glob("*.json")]
    found = {name: process_of(stack, name) for name in names}
    return {name: process for name, process in found.items() if process}


def was_started(stack: Stack, name: str) -> bool:
    """True from start to stop, so also for one that died."""
    return _record(stack, name).exists()


def stop(stack: Stack, processes: list[Process]) -> None:
    """Ask all of them, wait, and kill those that take too long."""
    for process in processes:
        _signal(process, signal.SIGTERM)
    began = time.monotonic()
    for process in processes:
        while process.alive:
            if time.monotonic() - began > process.stop_seconds:
                kill(process)
            time.sleep(POLL_SECONDS)
        _record(stack, process.name).unlink(missing_ok=True)


def kill(process: Process) -> None:
    """What a crash does: no goodbye. Returns when it is gone."""
    _signal(process, signal.SIGKILL)
    while process.alive:
        time.sleep(POLL_SECONDS)


def freeze(process: Process) -> None:
    """It keeps its connections and answers nobody, as after a long pause of a machine."""
    _signal(process, signal.SIGSTOP)


def thaw(process: Process) -> None:
    _signal(process, signal.SIGCONT)


def _signal(process: Process, number: signal.Signals) -> None:
    if not process.alive:
        return
    try:
        os.kill(process.pid, number)
    except ProcessLookupError:
        pass  # it went between the two lines, which is what was wanted
    except PermissionError as error:
        raise StackError(f"{process.name} (pid {process.pid}) belongs to another user") from error


def _record(stack: Stack, name: str) -> Path:
    return stack.records / f"{name}.json"


def _started_ticks(pid: int) -> int | None:
    """When a process started, or None when there is none or only its remains."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The command in parentheses may hold anything, so count from its end.
    fields = stat.rpartition(")")[2].split()
    state, started = fields[0], int(fields[19])
    return None if state in "ZX" and _threads(pid) <= 1 else started


def _threads(pid: int) -> int:
    try:
        return len(os.listdir(f"/proc/{pid}/task"))
    except (FileNotFoundError, ProcessLookupError):
        return 0


def _command_line(pid: int) -> list[str]:
    """Empty when there is no process, or only its remains."""
    try:
        return [part for part in Path(f"/proc/{pid}/cmdline").read_text().rstrip("\0").split("\0") if part]
    except (FileNotFoundError, ProcessLookupError):
        return []
