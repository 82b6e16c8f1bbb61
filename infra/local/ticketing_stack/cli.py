"""The command line of `infra/local/stack`."""

import argparse
import fcntl
import os
import resource
import shlex
import sys
from contextlib import contextmanager

from . import fetch, kafka_tools, lifecycle, prerequisites
from .errors import StackError
from .exported import exported, welcome
from .layout import SERVICES, Stack, stack_from_environment
from .services import binary, environment

EPILOG = """\
environment:
  STACK            name of the stack and of its folder .stack/<name> (main)
  STACK_OFFSET     added to every port, so that two stacks run side by side (0)
  STACK_PROFILE    release or debug: which binaries of the services (release)
  TICKETING_CACHE  where fetched things are kept (~/.cache/ticketing)
  SVC_CHECKOUT__X  the variable X of svc-checkout; likewise for the other services
"""


# A gateway with 12,000 clients has as many connections to the services.
OPEN_FILES_AT_MOST = 65536


def main() -> int:
    arguments = _parser().parse_args()
    _allow_open_files()
    try:
        return arguments.run(stack_from_environment(), arguments) or 0
    except StackError as error:
        print(f"stack: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stack: interrupted; what was started goes on (`stack status`, `stack down`)", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # `stack status | head`: the reader has seen enough. Python must not flush once more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _allow_open_files() -> None:
    """Programs inherit the limit, and a shell's is often 1,024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES_AT_MOST if hard == resource.RLIM_INFINITY else min(hard, OPEN_FILES_AT_MOST)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="stack", description="The whole system on this machine, without containers.",
        epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    commands = parser.add_subparsers(required=True, metavar="command")

    def command(name: str, run, text: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=text, description=text)
        added.set_defaults(run=run)
        return added

    command("check", lambda *_: prerequisites.check(), "does this machine have what is needed?")
    command("fetch", _fetch, "bring the pinned servers into the cache")
    up = command("up", _exclusive(_up), "start what does not run: servers, services, gateway")
    up.add_argument("--servers", action="store_true", help="leave out the services")
    command("down", _exclusive(lambda stack, _: lifecycle.down(stack)), "stop everything, keep the data")
    command("clean", _exclusive(lambda stack, _: lifecycle.clean(stack)), "stop everything, remove the data")
    command("status", lambda stack, _: lifecycle.status(stack), "what runs")
    command("welcome", lambda stack, _: print(welcome(stack)), "where to go and whom to sign in as")
    for name, run, text in (
        ("start", _exclusive(_of_one(lifecycle.start)), "start one program and wait until it is ready"),
        ("stop", _exclusive(_of_one(lifecycle.stop)), "stop one program and wait until it is gone"),
        ("kill", _exclusive(_of_one(lifecycle.kill)), "kill one program without a goodbye (SIGKILL)"),
        ("freeze", _exclusive(_of_one(lifecycle.freeze)), "stop one program in its tracks (SIGSTOP)"),
        # At any time: a program that is being stopped may wait for the frozen one.
        ("thaw", _of_one(lifecycle.thaw), "let a frozen program go on (SIGCONT)"),
    ):
        one = command(name, run, text)
        one.add_argument("name", help="as `stack status` names it")
    env = command("env", _env, "the stack's addresses, or a service's environment, as NAME=value")
    env.add_argument("service", nargs="?", choices=SERVICES)
    execute = command("exec", _exec, "run a command with the stack's addresses in its environment")
    execute.add_argument("command", nargs=argparse.REMAINDER)
    own = command("run", _run, "run a command of a service, such as `run checkout audit`, with the service's environment")
    own.add_argument("service", choices=SERVICES)
    own.add_argument("command", nargs=argparse.REMAINDER)
    follow = command("tail", _tail, "print a topic's decoded records as they come")
    follow.add_argument("topic")
    follow.add_argument("--from", dest="start", choices=("beginning", "now"), default="now")
    return parser


def _fetch(_stack: Stack, _arguments) -> None:
    prerequisites.check()
    fetch.fetch()


def _up(stack: Stack, arguments) -> None:
    lifecycle.up(stack, only_servers=arguments.servers)


def _env(stack: Stack, arguments) -> None:
    """Quoted for a shell where needed, so that `eval` and `env` take it."""
    shown = environment(stack, arguments.service) if arguments.service else exported(stack)
    for name, value in shown.items():
        print(f"{name}={shlex.quote(value)}")


def _exec(stack: Stack, arguments) -> None:
    if not arguments.command:
        raise StackError("exec what? For example `infra/local/stack exec env`")
    _become(arguments.command, exported(stack))


def _run(stack: Stack, arguments) -> None:
    _become([str(binary(arguments.service)), *arguments.command], environment(stack, arguments.service))


def _become(command: list[str], additional: dict[str, str]) -> None:
    try:
        os.execvpe(command[0], command, os.environ | additional)
    except FileNotFoundError as error:
        raise StackError(f"there is no {command[0]} to run") from error


def _tail(stack: Stack, arguments) -> None:
    kafka_tools.tail(stack, arguments.topic, from_beginning=arguments.start == "beginning")


def _of_one(run):
    return lambda stack, arguments: run(stack, arguments.name)


def _exclusive(run):
    def locked(stack: Stack, arguments) -> None:
        with _lock(stack):
            run(stack, arguments)

    return locked


@contextmanager
def _lock(stack: Stack):
    """Two commands that start or stop the same stack take turns."""
    stack.folder.parent.mkdir(parents=True, exist_ok=True)
    # Beside the folder, not in it: `clean` removes the folder.
    with open(stack.folder.with_suffix(".lock"), "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"stack: another command works on stack {stack.name}; waiting for it", flush=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
