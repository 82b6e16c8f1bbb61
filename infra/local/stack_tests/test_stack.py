"""What the stack tool promises, tried on the real servers: on a stack of its own and a small one beside it.

The stack is up before the first test and up again after each, so that they may come in any order.
"""

import json
import os
import re
import smtplib
import socket
import struct
import subprocess
import time
import unittest
import urllib.error
import urllib.request
from pathlib import Path

from ticketing_stack import programs
from ticketing_stack.layout import LOCAL, Stack
from ticketing_stack.ports import listeners

OURS = Stack("tool", 14000)
BESIDE = Stack("tool-beside", 14500)
SERVERS = {"kafka", "cassandra", "registry", "mailbox", "gateway"}
# A start of all of them takes 20 s on two cores; more is a machine that does something else.
COMMAND_SECONDS_AT_MOST = 300
TAIL_SECONDS_AT_MOST = 60

TOPIC = "tool.greetings"
SCHEMA = {"type": "record", "name": "Greeting", "namespace": "tool", "fields": [{"name": "text", "type": "string"}]}
SUBJECT = f"{TOPIC}-tool.Greeting"
MAIL = "Subject: A mail that stays\r\n\r\nHello."


def run(of: Stack, program: Path | str, *arguments: str, succeeds: bool = True, stdin: bytes = b"") -> str:
    """What a command for this stack prints."""
    ran = subprocess.run(
        [str(program), *arguments], env=environment(of), check=False, timeout=COMMAND_SECONDS_AT_MOST,
        input=stdin, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    said = ran.stdout.decode(errors="replace")
    if (ran.returncode == 0) != succeeds:
        raise AssertionError(f"{program} {' '.join(arguments)} ended with {ran.returncode} and said:\n{said}")
    return said


def environment(of: Stack) -> dict[str, str]:
    return os.environ | {"STACK": of.name, "STACK_OFFSET": str(of.offset)}


def stack(of: Stack, *arguments: str, succeeds: bool = True) -> str:
    return run(of, LOCAL / "stack", *arguments, succeeds=succeeds)


def pids(of: Stack) -> dict[str, int]:
    return {name: process.pid for name, process in programs.running(of).items()}


def http(url: str, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=20) as answer:
        return json.load(answer)


def register(schema: dict) -> int:
    """The id of a schema; one that is known keeps its own."""
    url = f"http://{OURS.address('registry')}/apis/ccompat/v7/subjects/{SUBJECT}/versions"
    return http(url, {"schema": json.dumps(schema)})["id"]


def produce(headers: str, key: str, value: bytes) -> None:
    settings = ("parse.headers=true", "parse.key=true")
    line = b"\t".join([headers.encode(), key.encode(), value])
    options = [option for setting in settings for option in ("--property", setting)]
    run(OURS, LOCAL / "bin" / "kafka-console-producer", "--topic", TOPIC, *options, stdin=line + b"\n")


def greeting(schema_id: int, text: str) -> bytes:
    """Confluent's five bytes, and Avro: twice the length, then the text."""
    payload = struct.pack(">bI", 0, schema_id) + bytes([2 * len(text)]) + text.encode()
    # The producer reads lines, and tabs are between header, key and value.
    assert b"\n" not in payload and b"\t" not in payload and len(text) < 64
    return payload


def cql(*queries: str) -> list[bytes]:
    """The answers' bodies; an error of the database is one here."""
    version, startup, query, error = 0x04, 0x01, 0x07, 0x00
    with socket.create_connection(("127.0.0.1", OURS.ports["cql"]), timeout=20) as connection:
        received = connection.makefile("rb")

        def ask(opcode: int, body: bytes) -> bytes:
            connection.sendall(struct.pack(">BBhBi", version, 0, 0, opcode, len(body)) + body)
            _version, _flags, _stream, answered, length = struct.unpack(">BBhBi", received.read(9))
            answer = received.read(length)
            if answered == error:
                raise AssertionError(answer)
            return answer

        ask(startup, struct.pack(">hh", 1, 11) + b"CQL_VERSION" + struct.pack(">h", 5) + b"3.0.0")
        one = struct.pack(">hB", 1, 0)
        return [ask(query, struct.pack(">i", len(text)) + text.encode() + one) for text in queries]


def mails(of: Stack) -> list[str]:
    return [mail["subject"] for mail in http(f"http://{of.address('mailbox')}/email")]


def send_mail(of: Stack) -> None:
    with smtplib.SMTP("127.0.0.1", of.ports["smtp"]) as mailbox:
        mailbox.sendmail("a@example.com", "b@example.com", MAIL)


def tailed(*wanted: str) -> list[str]:
    """The lines of `make tail` from the beginning on, until all of the wanted texts are there."""
    log = OURS.logs / "tail.log"
    with open(log, "wb") as output:
        command = [str(LOCAL / "stack"), "tail", TOPIC, "--from", "beginning"]
        child = subprocess.Popen(command, env=environment(OURS), stdout=output, stderr=subprocess.STDOUT)
    try:
        until = time.monotonic() + TAIL_SECONDS_AT_MOST
        while any(text not in (said := log.read_text()) for text in wanted):
            if child.poll() is not None or time.monotonic() > until:
                raise AssertionError(f"tail does not print {wanted}, but:\n{said}")
            time.sleep(programs.POLL_SECONDS)
        return said.splitlines()
    finally:
        child.terminate()
        child.wait()


class StackTool(unittest.TestCase):
    greeting_id: int

    @classmethod
    def setUpClass(cls) -> None:
        for of in (OURS, BESIDE):
            stack(of, "clean")
        # Also of a start that failed.
        cls.addClassCleanup(cls.clean_up)
        stack(OURS, "up", "--servers")
        run(OURS, LOCAL / "bin" / "kafka-topics", "--create", "--topic", TOPIC)
        cls.greeting_id = register(SCHEMA)
        produce("ce_id:1,ce_type:tool.Greeting", "first-key", greeting(cls.greeting_id, "good morning"))
        produce("ce_id:2", "second-key", b"this is no Avro")
        produce("ce_id:3", "third-key", greeting(cls.greeting_id, "good night"))
        send_mail(OURS)
        cql(
            "CREATE KEYSPACE tool WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}",
            "CREATE TABLE tool.seats (id int PRIMARY KEY, name text)",
            "INSERT INTO tool.seats (id, name) VALUES (1, 'row 7, seat 12')",
        )

    @classmethod
    def clean_up(cls) -> None:
        for of in (OURS, BESIDE):
            stack(of, "clean")

    def test_a_second_up_changes_nothing(self) -> None:
        before = pids(OURS)
        self.assertEqual(before.keys(), SERVERS)
        command = [str(LOCAL / "stack"), "up", "--servers"]
        # Two at once, as from two terminals: they take turns.
        both = [
            subprocess.Popen(command, env=environment(OURS), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            for _ in range(2)
        ]
        for child in both:
            said, _ = child.communicate(timeout=COMMAND_SECONDS_AT_MOST)
            self.assertEqual(child.returncode, 0, said)
            self.assertEqual(set(re.findall(r"^(\w+) +runs already$", said, re.MULTILINE)), SERVERS, said)
        self.assertEqual(pids(OURS), before)

    def test_up_starts_what_died_and_leaves_the_rest(self) -> None:
        before = pids(OURS)
        stack(OURS, "kill", "mailbox")
        self.assertRegex(stack(OURS, "status"), r"mailbox +died; its log: /\S+/mailbox\.log")
        said = stack(OURS, "up", "--servers")
        self.assertRegex(said, r"mailbox +ready")
        after = pids(OURS)
        self.assertNotEqual(after.pop("mailbox"), before.pop("mailbox"))
        self.assertEqual(after, before)

    def test_a_busy_port_is_named_with_its_owner_and_nothing_is_started(self) -> None:
        before = pids(OURS)
        same_ports = Stack(BESIDE.name, OURS.offset)
        said = stack(same_ports, "up", "--servers", succeeds=False)
        for name, port in (("kafka", "kafka"), ("cassandra", "cql"), ("gateway", "gateway"), ("mailbox", "smtp")):
            owner = f"  {name}: port {OURS.ports[port]} is taken by pid {before[name]}: /"
            self.assertIn(owner, said)
        self.assertIn("move the whole stack with STACK_OFFSET=<number>", said)
        self.assertEqual(pids(same_ports), {})
        self.assertEqual(pids(OURS), before)

    def test_tail_decodes_records(self) -> None:
        lines = tailed("good night")
        (first,) = (line for line in lines if "first-key" in line)
        for part in ("Partition:0", "ce_id:1", "ce_type:tool.Greeting", '{"text": "good morning"}'):
            self.assertIn(part, first)
        # What cannot be decoded is told, and what comes after it is shown all the same.
        self.assertTrue(any("third-key" in line and '{"text": "good night"}' in line for line in lines), lines)
        self.assertTrue(any("rror" in line for line in lines), lines)

    def test_tail_of_a_topic_that_is_not_there_names_those_that_are(self) -> None:
        said = stack(OURS, "tail", "tool.greeting", succeeds=False)
        self.assertIn(f"there is no topic 'tool.greeting'; there are:\n  {TOPIC}\n", said)

    def test_a_stack_beside_comes_and_goes_without_notice(self) -> None:
        before = pids(OURS)
        for name in ("mailbox", "gateway"):
            self.assertRegex(stack(BESIDE, "start", name), rf"{name} +ready")
        beside = programs.running(BESIDE)
        send_mail(BESIDE)
        send_mail(BESIDE)
        self.assertEqual(len(mails(BESIDE)), 2)
        self.assertEqual(len(mails(OURS)), 1)
        stack(BESIDE, "clean")
        self.assertFalse(any(process.alive for process in beside.values()))
        self.assertFalse(listeners().keys() & set(BESIDE.ports.values()))
        self.assertFalse(BESIDE.folder.exists())
        self.assertEqual(pids(OURS), before)
        self.assertEqual(len(mails(OURS)), 1)

    def test_down_stops_its_own_and_up_finds_everything_again(self) -> None:
        stack(BESIDE, "start", "mailbox")
        self.addCleanup(stack, BESIDE, "clean")
        beside, ours = pids(BESIDE), programs.running(OURS)
        stack(OURS, "down")
        self.assertFalse(any(process.alive for process in ours.values()))
        self.assertFalse(listeners().keys() & set(OURS.ports.values()))
        self.assertNotRegex(stack(OURS, "status"), "runs|died")
        self.assertEqual(stack(OURS, "down"), "")
        self.assertEqual(pids(BESIDE), beside)
        self.assertEqual(mails(BESIDE), [])

        stack(OURS, "up", "--servers")
        self.assertEqual(pids(OURS).keys(), SERVERS)
        self.assertEqual(mails(OURS), ["A mail that stays"])
        self.assertIn(b"row 7, seat 12", *cql("SELECT name FROM tool.seats WHERE id = 1"))
        self.assertEqual(register(SCHEMA), self.greeting_id)
        another = SCHEMA | {"fields": [*SCHEMA["fields"], {"name": "to", "type": ["null", "string"], "default": None}]}
        self.assertNotEqual(register(another), self.greeting_id)
        self.assertTrue(any('{"text": "good morning"}' in line for line in tailed("good night")))


if __name__ == "__main__":
    unittest.main()
