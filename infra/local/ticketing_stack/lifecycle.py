"""Up, down, and what tests do to a stack in between."""

import shutil
import subprocess
import time

from . import fetch, prerequisites, programs
from .console import say, tail
from .errors import StackError
from .layout import SERVICES, TWICE, Stack
from .ports import listeners, owner_of
from .programs import Process, Program
from .readiness import NotReady
from .servers import gateway, servers
from .services import program_name, second_instance, second_name, services

# The slowest, Cassandra, takes seven seconds alone and half a minute beside a compiler.
READY_SECONDS_AT_MOST = 180
MIGRATE_SECONDS_AT_MOST = 120
SLOW_LINE_EVERY_SECONDS = 5

# Stopped in this order: nobody writes to a server that is already gone.
_SERVICE_NAMES = [program_name(service) for service in SERVICES]
_SECONDS = {second_name(service): service for service in TWICE}
STOP_ORDER = [["gateway"], [*_SERVICE_NAMES, *_SECONDS], ["mailbox", "registry", "cassandra", "kafka"]]


def up(stack: Stack, only_servers: bool) -> None:
    prerequisites.check()
    fetch.fetch()
    # All that can be wrong with binaries or ports is said before anything is started.
    below = servers(stack)
    above = [] if only_servers else services(stack)
    front = gateway(stack, with_keys=not only_servers)
    _refuse_foreign_ports(stack, [*below, *above, front])

    began = time.monotonic()
    _start_all(stack, below)
    outdated = [program for program in above if not _is_current(stack, program)]
    for program in outdated:
        _migrate(stack, program)
    _start_all(stack, above)
    _start_all(stack, [front])
    say("stack", f"{stack.name} is up, {time.monotonic() - began:.1f} s")


def down(stack: Stack) -> None:
    alive = programs.running(stack)
    known = {name for wave in STOP_ORDER for name in wave}
    for wave in [sorted(alive.keys() - known), *STOP_ORDER]:
        _stop_all(stack, [alive[name] for name in wave if name in alive])
    shutil.rmtree(stack.records, ignore_errors=True)


def clean(stack: Stack) -> None:
    down(stack)
    shutil.rmtree(stack.folder, ignore_errors=True)
    say("stack", f"{stack.name} removed")


def start(stack: Stack, name: str) -> None:
    program = _program(stack, name)
    _refuse_foreign_ports(stack, [program])
    _start_all(stack, [program])


def stop(stack: Stack, name: str) -> None:
    _stop_all(stack, [_running(stack, name)])


def kill(stack: Stack, name: str) -> None:
    programs.kill(_running(stack, name))
    say(name, "killed")


def freeze(stack: Stack, name: str) -> None:
    programs.freeze(_running(stack, name))
    say(name, "frozen")


def thaw(stack: Stack, name: str) -> None:
    programs.thaw(_running(stack, name))
    say(name, "goes on")


def status(stack: Stack) -> None:
    alive = programs.running(stack)
    for wave in reversed(STOP_ORDER):
        for name in wave:
            if process := alive.get(name):
                say(name, f"runs, pid {process.pid}, {process.memory_mib} MiB")
            elif programs.was_started(stack, name):
                say(name, f"died; its log: {programs.log_of(stack, name)}")
            elif name not in _SECONDS:
                say(name, "stopped")


def _program(stack: Stack, name: str) -> Program:
    everything = {program.name: program for program in servers(stack)}
    if name in _SERVICE_NAMES:
        everything |= {program.name: program for program in services(stack)}
    if name in _SECONDS:
        everything[name] = second_instance(stack, _SECONDS[name])
    if name == "gateway":
        everything[name] = gateway(stack, with_keys=False)
    if name not in everything:
        raise StackError(f"no program {name!r}: it is one of {', '.join(sum(STOP_ORDER, []))}")
    return everything[name]


def _running(stack: Stack, name: str) -> Process:
    process = programs.process_of(stack, name)
    if process is None:
        raise StackError(f"{name} does not run: `infra/local/stack status` tells what does")
    return process


def _is_current(stack: Stack, program: Program) -> bool:
    process = programs.process_of(stack, program.name)
    return process is not None and process.fingerprint == program.fingerprint


def _refuse_foreign_ports(stack: Stack, wanted: list[Program]) -> None:
    ours = {process.pid for process in programs.running(stack).values()}
    busy = listeners()
    conflicts = []
    for program in wanted:
        for port in (stack.ports[name] for name in program.port_names):
            if port in busy and (owner := owner_of(busy[port])).pid not in ours:
                conflicts.append(f"  {program.name}: port {port} is taken by pid {owner.pid}: {owner.command[:200]}")
    if conflicts:
        raise StackError(
            "Ports that this stack needs are taken:\n" + "\n".join(conflicts)
            + "\nStop these processes, or move the whole stack with STACK_OFFSET=<number>."
        )


def _migrate(stack: Stack, program: Program) -> None:
    """Keyspace, tables, topics and schemas; one service after the other, since concurrent
    schema changes are what Cassandra is worst at."""
    began = time.monotonic()
    log = stack.logs / f"{program.name}-migrate.log"
    with open(log, "ab") as output:
        child = subprocess.Popen(
            [program.argv[0], "migrate"],
            env=programs.environment_of(program.environment),
            cwd=stack.folder, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
        )  # fmt: skip
        try:
            code = child.wait(MIGRATE_SECONDS_AT_MOST)
        except subprocess.TimeoutExpired:
            child.kill()
            code = f"none within {MIGRATE_SECONDS_AT_MOST} s"
    if code != 0:
        raise StackError(f"{program.name} migrate failed (exit code {code}); {log} ends with\n{tail(log)}")
    say(program.name, f"migrated {time.monotonic() - began:.1f} s")


def _start_all(stack: Stack, wanted: list[Program]) -> None:
    """Bring these to the state they should have: at once, for they do not need each other."""
    outdated = [program for program in wanted if not _is_current(stack, program)]
    for program in wanted:
        if program not in outdated:
            say(program.name, "runs already")
    replaced = [process for program in outdated if (process := programs.process_of(stack, program.name))]
    _stop_all(stack, replaced, why="its binary or configuration changed; ")
    _wait_until_ready(stack, [(program, programs.launch(stack, program)) for program in outdated])


def _wait_until_ready(stack: Stack, starting: list[tuple[Program, subprocess.Popen]]) -> None:
    began = told = time.monotonic()
    while starting:
        waiting = []
        for program, child in starting:
            missing = _what_is_missing(program)
            seconds = time.monotonic() - began
            if child.poll() is not None:
                raise _failed(stack, program, f"died (exit code {child.returncode})")
            if missing is None:
                say(program.name, f"ready {seconds:.1f} s")
                continue
            if seconds > READY_SECONDS_AT_MOST:
                raise _failed(stack, program, f"is not ready after {seconds:.0f} s: {missing}")
            waiting.append((program, child))
        starting = waiting
        if starting and time.monotonic() - told > SLOW_LINE_EVERY_SECONDS:
            told = time.monotonic()
            names = ", ".join(program.name for program, _ in starting)
            say("stack", f"waiting for {names}, {told - began:.0f} s")
        time.sleep(programs.POLL_SECONDS)


def _what_is_missing(program: Program) -> str | None:
    try:
        program.ready()
    except NotReady as reason:
        return str(reason)
    return None


def _failed(stack: Stack, program: Program, how: str) -> StackError:
    log = programs.log_of(stack, program.name)
    return StackError(f"{program.name} {how}; {log} ends with\n{tail(log)}")


def _stop_all(stack: Stack, processes: list[Process], why: str = "") -> None:
    if not processes:
        return
    names = ", ".join(process.name for process in processes)
    began = time.monotonic()
    say("stack", f"{why}stopping {names}")
    programs.stop(stack, processes)
    say("stack", f"stopped {names}, {time.monotonic() - began:.1f} s")
