"""The parts of the stack tool that need no server. Programs are small ones of Python here."""

import contextlib
import io
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import unittest
import warnings
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from unittest.mock import patch

from ticketing_stack import fetch, lifecycle, prerequisites, programs, readiness, services, templates
from ticketing_stack.errors import StackError
from ticketing_stack.layout import CLONE, CONFIG, GATEWAY_TEMPLATE, HIGHEST_OFFSET, LOCAL, Stack, stack_from_environment
from ticketing_stack.ports import listeners, owner_of
from ticketing_stack.programs import Process, Program


@dataclass(frozen=True)
class StackElsewhere(Stack):
    """One that leaves no trace in the clone."""

    home: Path = Path()

    @property
    def folder(self) -> Path:
        return self.home


class WithStack(unittest.TestCase):
    def setUp(self) -> None:
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.home = Path(temporary.name).resolve()
        self.stack = StackElsewhere("parts", 0, self.home)


class NamesAndPorts(unittest.TestCase):
    def test_a_name_that_is_no_folder_is_refused(self) -> None:
        for name in ("", "..", "a/b", "Main", "-a", "a" * 33):
            with self.subTest(name), patch.dict(os.environ, STACK=name):
                self.assertRaisesRegex(StackError, "^STACK=", stack_from_environment)

    def test_an_offset_that_leads_to_no_port_is_refused(self) -> None:
        for offset in ("", "-1", "1.5", "ten", str(HIGHEST_OFFSET + 1)):
            with self.subTest(offset), patch.dict(os.environ, STACK_OFFSET=offset):
                self.assertRaisesRegex(StackError, "^STACK_OFFSET=", stack_from_environment)
        with patch.dict(os.environ, STACK="a", STACK_OFFSET=str(HIGHEST_OFFSET)):
            self.assertEqual(max(stack_from_environment().ports.values()), 65535)

    def test_the_stacks_of_this_repository_run_side_by_side(self) -> None:
        files = [CLONE / "Makefile", *(LOCAL / name for name in ("test", "proof", "stack_tests/test_stack.py"))]
        text = "".join(file.read_text() for file in files)
        offsets = {0} | {int(found) for found in re.findall(r'(?:STACK_OFFSET\W+|Stack\("[a-z-]+", )(\d+)', text)}
        self.assertGreaterEqual(len(offsets), 7, offsets)
        wanted = [port for offset in offsets for port in Stack("any", offset).ports.values()]
        self.assertEqual(len(wanted), len(set(wanted)), offsets)

    def test_the_owner_of_a_port_is_found(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
            owner = owner_of(listeners()[port])
            self.assertEqual(owner.pid, os.getpid())
            self.assertIn("python", owner.command)
        self.assertNotIn(port, listeners())
        self.assertRaises(readiness.NotReady, readiness.smtp, port)


class Templates(WithStack):
    def test_every_place_of_a_template_is_filled(self) -> None:
        moved = replace(self.stack, offset=5)
        for template in (CONFIG / "kafka.properties", CONFIG / "cassandra.yaml", GATEWAY_TEMPLATE):
            with self.subTest(template.name):
                text = templates.rendered(moved, template).read_text()
                self.assertNotIn("${", text)
                names = set(re.findall(r"\$\{(\w+)\}", template.read_text())) & moved.ports.keys()
                self.assertTrue(names)
                for name in names:
                    self.assertIn(str(moved.ports[name]), text)

    def test_a_place_that_nothing_fills_is_an_error(self) -> None:
        template = self.home / "kafka.properties"
        template.write_text("port=${kafak}")
        with self.assertRaises(KeyError):
            templates.rendered(self.stack, template)


class Pins(WithStack):
    def setUp(self) -> None:
        super().setUp()
        self.enterContext(patch.object(fetch, "PINS", self.home / "pins"))
        self.pin = fetch.Pin("kafka", lambda pin, into: None)
        self.pin.source.mkdir(parents=True)
        (self.pin.source / "pom.xml").write_text("4.1.0")

    def test_a_changed_pin_is_another_folder(self) -> None:
        before = self.pin.folder
        self.assertEqual(before, self.pin.folder)
        (self.pin.source / "pom.xml").write_text("4.1.1")
        self.assertNotEqual(before, self.pin.folder)

    def test_what_the_checksums_do_not_list_is_refused(self) -> None:
        brought = self.home / "brought"
        brought.mkdir()
        for name in ("a.jar", "b.jar"):
            (brought / name).write_text(name)
        sums = subprocess.run("sha256sum *", shell=True, cwd=brought, check=True, capture_output=True, text=True)
        (self.pin.source / fetch.CHECKSUMS).write_text(sums.stdout)
        fetch._verify(self.pin, brought)
        (brought / "a.jar").write_text("changed")
        (brought / "b.jar").unlink()
        (brought / "c.jar").write_text("one more")
        self.assertRaisesRegex(StackError, r"lists: a\.jar, b\.jar, c\.jar\.", fetch._verify, self.pin, brought)


class Prerequisites(WithStack):
    def test_all_that_is_missing_is_named_at_once_with_its_fix(self) -> None:
        with patch.dict(os.environ, PATH=str(self.home)), self.assertRaises(StackError) as raised:
            prerequisites.check()
        lines = [line for line in str(raised.exception).splitlines() if line.startswith("  - ")]
        for command in ("cargo", "cc", "make", "pkg-config", "curl", "mvn", "Node", "npm"):
            (line,) = (line for line in lines if re.search(rf"no {command}\b", line))
            self.assertRegex(line, "install")

    def test_another_java_is_passed_over(self) -> None:
        for version in (21, 17):
            java = self.home / str(version) / "bin" / "java"
            java.parent.mkdir(parents=True)
            java.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}.0.1\"' >&2\n")
            java.chmod(0o755)
        # java is the 17 here.
        with patch.dict(os.environ, JAVA_HOME=str(self.home / "21"), PATH=str(java.parent)):
            self.assertEqual(prerequisites.java(), java)


class Environment(WithStack):
    def test_a_setting_for_one_service_reaches_it_alone(self) -> None:
        with patch.dict(os.environ, SVC_CHECKOUT__CHECKOUT_HOLD_SECONDS="7"):
            self.assertEqual(services.environment(self.stack, "checkout")["CHECKOUT_HOLD_SECONDS"], "7")
            self.assertNotIn("CHECKOUT_HOLD_SECONDS", services.environment(self.stack, "catalog"))

    def test_programs_inherit_little(self) -> None:
        with patch.dict(os.environ, KAFKA_BROKERS="elsewhere:9092"):
            self.assertNotIn("KAFKA_BROKERS", programs.environment_of({}))
            self.assertEqual(programs.environment_of({"A": "b"})["A"], "b")

    def test_a_key_is_made_once_and_for_nobody_else(self) -> None:
        key = services.identity_key(self.stack)
        self.assertEqual(key, services.identity_key(self.stack))
        self.assertNotEqual(key, services.catalog_secret(self.stack))
        self.assertEqual((self.stack.data / "identity-key-encryption-key").stat().st_mode & 0o777, 0o600)


class Processes(WithStack):
    def setUp(self) -> None:
        super().setUp()
        self.settings = self.home / "settings"
        self.settings.write_text("1")
        self.enterContext(patch.object(lifecycle, "READY_SECONDS_AT_MOST", 60))
        self.said = self.enterContext(contextlib.redirect_stdout(io.StringIO()))
        self.addCleanup(lifecycle.down, self.stack)
        # A process that goes on when its handle is gone is what the tool is for.
        warnings.simplefilter("ignore", ResourceWarning)

    def program(self, code: str = "", name: str = "server") -> Program:
        """One that runs `code`, says that it is ready, and sleeps."""
        sign = self.home / f"{name}-is-ready"
        sign.unlink(missing_ok=True)

        def ready() -> None:
            if not sign.exists():
                raise readiness.NotReady(f"there is no {sign.name}")

        code = f"import pathlib, signal, time\n{code}\npathlib.Path({str(sign)!r}).touch()\ntime.sleep(600)"
        return Program(name, [sys.executable, "-c", code], ready, (), stop_seconds=1, inputs=(self.settings,))

    def pid(self, name: str = "server") -> int:
        return programs.running(self.stack)[name].pid

    def start(self, *wanted: Program) -> None:
        lifecycle._start_all(self.stack, list(wanted))

    def test_a_second_start_leaves_it_alone(self) -> None:
        program = self.program()
        self.start(program)
        first = self.pid()
        self.start(program)
        self.assertEqual(self.pid(), first)
        self.assertRegex(self.said.getvalue(), r"server +runs already")

    def test_a_changed_file_replaces_it(self) -> None:
        program = self.program()
        self.start(program)
        first = programs.running(self.stack)["server"]
        self.settings.write_text("2")
        self.start(program)
        self.assertNotEqual(self.pid(), first.pid)
        self.assertFalse(first.alive)
        self.assertIn("its binary or configuration changed; stopping server", self.said.getvalue())

    def test_one_that_dies_is_told_with_the_end_of_its_log(self) -> None:
        dies = self.program("print('no such disk')\nraise SystemExit(3)")
        with self.assertRaisesRegex(StackError, r"(?s)^server died \(exit code 3\); .*server\.log ends with.*no such disk"):
            self.start(dies)
        self.assertTrue(programs.was_started(self.stack, "server"))

    def test_one_that_never_is_ready_is_told_with_what_is_missing(self) -> None:
        with patch.object(lifecycle, "READY_SECONDS_AT_MOST", 0.2):
            with self.assertRaisesRegex(StackError, r"server is not ready after \d+ s: there is no server-is-ready"):
                self.start(self.program("time.sleep(600)"))

    def test_one_that_does_not_want_to_stop_is_killed(self) -> None:
        self.start(self.program("signal.signal(signal.SIGTERM, signal.SIG_IGN)"), self.program(name="other"))
        started = programs.running(self.stack)
        self.assertEqual(started.keys(), {"server", "other"})
        lifecycle.down(self.stack)
        self.assertFalse(any(process.alive for process in started.values()))
        self.assertEqual(programs.running(self.stack), {})

    def test_what_was_killed_is_started_alone(self) -> None:
        both = [self.program(), self.program(name="other")]
        self.start(*both)
        server, other = self.pid(), self.pid("other")
        lifecycle.kill(self.stack, "other")
        self.assertRaisesRegex(StackError, "other does not run", lifecycle.stop, self.stack, "other")
        self.start(*both)
        self.assertEqual(self.pid(), server)
        self.assertNotEqual(self.pid("other"), other)

    def test_down_stops_no_process_that_only_has_the_number_of_one_of_its_own(self) -> None:
        """Numbers come again: after a restart of the machine a record may name anybody."""
        stranger = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        self.addCleanup(lambda: (stranger.kill(), stranger.wait()))
        ticks = programs._started_ticks(stranger.pid)
        assert ticks is not None
        own = Process("server", stranger.pid, ticks, list(stranger.args), "", stop_seconds=0)
        self.assertTrue(own.alive)
        for other in (replace(own, started_ticks=ticks - 1), replace(own, argv=["kafka"])):
            self.stack.records.mkdir(exist_ok=True)
            (self.stack.records / "server.json").write_text(json.dumps(asdict(other)))
            lifecycle.down(self.stack)
            self.assertIsNone(stranger.poll())
        self.assertFalse(self.stack.records.exists())

    def test_clean_takes_the_data_and_down_does_not(self) -> None:
        kept = self.stack.data / "kept"
        self.start(self.program())
        kept.touch()
        lifecycle.down(self.stack)
        self.assertTrue(kept.exists())
        with contextlib.suppress(FileNotFoundError):
            lifecycle.clean(self.stack)
        self.assertFalse(kept.exists())


if __name__ == "__main__":
    unittest.main()
