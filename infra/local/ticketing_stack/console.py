"""Progress lines."""

import threading

# Several sets are fetched at once; their lines must not run into each other.
_one_line_at_a_time = threading.Lock()


def say(name: str, text: str) -> None:
    with _one_line_at_a_time:
        print(f"{name:<13} {text}", flush=True)


def tail(path, lines: int = 25) -> str:
    """The last lines of a log, for the message about a program that died."""
    try:
        text = path.read_text(errors="replace")
    except FileNotFoundError:
        return "(no log)"
    return "\n".join("    " + line for line in text.splitlines()[-lines:])
