"""Names, ports and folders of one stack."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from .errors import StackError

CLONE = Path(__file__).resolve().parents[3]
LOCAL = CLONE / "infra" / "local"
CONFIG = LOCAL / "config"
GATEWAY_TEMPLATE = CLONE / "infra" / "gateway" / "envoy.yaml"

# In the order in which they migrate.
SERVICES = ("identity", "catalog", "checkout", "mailer")
# Those of which a second instance can be started.
TWICE = ("catalog", "checkout")

BASE_PORTS = {
    "gateway": 8080,
    "identity": 8101,
    "catalog": 8102,
    "checkout": 8103,
    "mailer": 8104,
    "catalog_2": 8112,
    "checkout_2": 8113,
    "identity_admin": 9101,
    "catalog_admin": 9102,
    "checkout_admin": 9103,
    "mailer_admin": 9104,
    "catalog_2_admin": 9112,
    "checkout_2_admin": 9113,
    "kafka": 9092,
    "kafka_controller": 9093,
    "cql": 9042,
    "cassandra_storage": 7000,
    "registry": 8085,
    "smtp": 1025,
    "mailbox": 1080,
    "envoy_admin": 9901,
}
HIGHEST_OFFSET = 65535 - max(BASE_PORTS.values())


@dataclass(frozen=True)
class Stack:
    name: str
    offset: int

    @property
    def ports(self) -> dict[str, int]:
        return {name: port + self.offset for name, port in BASE_PORTS.items()}

    @property
    def folder(self) -> Path:
        return CLONE / ".stack" / self.name

    @property
    def data(self) -> Path:
        """What must survive `down && up`."""
        return self.folder / "data"

    @property
    def logs(self) -> Path:
        return self.folder / "logs"

    @property
    def generated(self) -> Path:
        """Configuration rendered from the templates, made anew at each start."""
        return self.folder / "config"

    @property
    def records(self) -> Path:
        """One file per program that was started."""
        return self.folder / "run"

    @property
    def origin(self) -> str:
        """What a browser sees, and the issuer of every access token."""
        return f"http://localhost:{self.ports['gateway']}"

    def address(self, port_name: str) -> str:
        return f"127.0.0.1:{self.ports[port_name]}"


def stack_from_environment() -> Stack:
    name = os.environ.get("STACK", "main")
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,31}", name):
        raise StackError(
            f"STACK={name!r} names a folder and a cluster: use up to 32 of a-z, 0-9 and -"
        )
    offset = os.environ.get("STACK_OFFSET", "0")
    if not offset.isdecimal() or int(offset) > HIGHEST_OFFSET:
        raise StackError(f"STACK_OFFSET={offset!r} must be a number from 0 to {HIGHEST_OFFSET}")
    return Stack(name, int(offset))


def cache_folder() -> Path:
    """Fetched things, shared by every clone of this repository."""
    if chosen := os.environ.get("TICKETING_CACHE"):
        return Path(chosen).resolve()
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "ticketing"
