"""Who listens on a port, read from /proc."""

from dataclasses import dataclass
from pathlib import Path

_LISTENING = "0A"


@dataclass(frozen=True)
class Owner:
    pid: int | None
    command: str


def listeners() -> dict[int, str]:
    """Every TCP port of this machine that is listened on, and its socket's inode."""
    found = {}
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == _LISTENING:
                found[int(fields[1].rpartition(":")[2], 16)] = fields[9]
    return found


def owner_of(inode: str) -> Owner:
    wanted = f"socket:[{inode}]"
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if any(str(fd.readlink()) == wanted for fd in (process / "fd").iterdir()):
                command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                return Owner(int(process.name), command.strip())
        except OSError:
            continue  # gone meanwhile, or another user's
    return Owner(None, "a process of another user")
