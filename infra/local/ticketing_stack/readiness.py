"""What each kind of program answers when it can be used."""

import socket
import struct
import urllib.error
import urllib.request

# A program that is up answers these in milliseconds; one that hangs is asked again.
PROBE_SECONDS = 2
# The answers fit; more is not ours.
ANSWER_BYTES_AT_MOST = 64 * 1024


class NotReady(Exception):
    """Says what is still missing."""


def http(url: str, expect: str = "") -> str:
    try:
        with urllib.request.urlopen(url, timeout=PROBE_SECONDS) as response:
            body = response.read().decode()
    except urllib.error.HTTPError as error:
        raise NotReady(f"{url} answers {error.code}") from error
    except OSError as error:
        raise NotReady(f"{url}: {error}") from error
    if expect not in body:
        raise NotReady(f"{url} does not say {expect!r} yet")
    return body


def kafka(port: int) -> None:
    """ApiVersions, version 0. A KRaft broker takes requests only once it may serve them."""
    client = b"stack"
    request = struct.pack(">hhih", 18, 0, 1, len(client)) + client
    answer = _exchange(port, struct.pack(">i", len(request)) + request, at_least=10)
    _size, correlation, error = struct.unpack(">iih", answer[:10])
    if (correlation, error) != (1, 0):
        raise NotReady(f"Kafka answers ApiVersions with error {error}")


def cql(port: int) -> None:
    """STARTUP of protocol version 4, answered by READY."""
    ready = 0x02
    body = struct.pack(">h", 1)
    for text in (b"CQL_VERSION", b"3.0.0"):
        body += struct.pack(">h", len(text)) + text
    startup = struct.pack(">BBhBi", 0x04, 0, 0, 0x01, len(body)) + body
    answer = _exchange(port, startup, at_least=9)
    if answer[4] != ready:
        raise NotReady(f"CQL answers STARTUP with opcode {answer[4]:#04x}")


def smtp(port: int) -> None:
    banner = _exchange(port, b"", at_least=3)
    if not banner.startswith(b"220"):
        raise NotReady(f"SMTP greets with {banner!r}")


def _exchange(port: int, request: bytes, at_least: int) -> bytes:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=PROBE_SECONDS) as connection:
            connection.sendall(request)
            answer = b""
            while len(answer) < at_least:
                part = connection.recv(ANSWER_BYTES_AT_MOST)
                if not part:
                    raise NotReady(f"port {port} hangs up")
                answer += part
            return answer
    except OSError as error:
        raise NotReady(f"port {port}: {error}") from error
