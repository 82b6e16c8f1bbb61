"""Kafka's own console tools against the stack, and `tail`, which decodes our records."""

import os
import subprocess
import sys
from typing import NoReturn

from . import prerequisites
from .errors import StackError
from .fetch import folder_of
from .layout import CONFIG, Stack, stack_from_environment
from .servers import kafka_classpath

MAIN_CLASSES = {
    "kafka-broker-api-versions": "org.apache.kafka.tools.BrokerApiVersionsCommand",
    "kafka-configs": "kafka.admin.ConfigCommand",
    "kafka-console-consumer": "org.apache.kafka.tools.consumer.ConsoleConsumer",
    "kafka-console-producer": "org.apache.kafka.tools.ConsoleProducer",
    "kafka-consumer-groups": "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
    "kafka-delete-records": "org.apache.kafka.tools.DeleteRecordsCommand",
    "kafka-dump-log": "kafka.tools.DumpLogSegments",
    "kafka-get-offsets": "org.apache.kafka.tools.GetOffsetShell",
    "kafka-topics": "org.apache.kafka.tools.TopicCommand",
    "kafka-transactions": "org.apache.kafka.tools.TransactionsCommand",
}
# It reads files, not a broker.
WITHOUT_BROKER = {"kafka-dump-log"}

# A tool lives for seconds: the quick compiler only, or half of them go into the other one.
JVM_OPTIONS = ["-Xmx256m", "-XX:TieredStopAtLevel=1"]


def run_tool(name: str, arguments: list[str]) -> NoReturn:
    """Become the tool. The stack's broker is filled in where none is named."""
    named = any(word.partition("=")[0] in ("--bootstrap-server", "--bootstrap-controller") for word in arguments)
    if not named and name not in WITHOUT_BROKER:
        arguments = ["--bootstrap-server", stack_from_environment().address("kafka"), *arguments]
    _become_java(kafka_classpath(), MAIN_CLASSES[name], arguments)


def tail(stack: Stack, topic: str, from_beginning: bool) -> NoReturn:
    """Print a topic's records as they come: partition, headers, key and the decoded value."""
    deserializer = {
        "": "io.apicurio.registry.serde.avro.AvroKafkaDeserializer",
        ".apicurio.registry.url": f"http://{stack.address('registry')}/apis/registry/v2",
        # Our records carry Confluent's five bytes, whose number is the registry's content id.
        ".apicurio.registry.id-handler": "io.apicurio.registry.serde.Legacy4ByteIdHandler",
        ".apicurio.registry.use-id": "contentId",
    }
    _require_topic(stack, topic)
    shown = {"print.partition": "true", "print.headers": "true", "print.key": "true"}
    properties = shown | {f"value.deserializer{name}": value for name, value in deserializer.items()}
    arguments = ["--bootstrap-server", stack.address("kafka"), "--topic", topic]
    # What was taken back by an aborted transaction never happened.
    arguments += ["--isolation-level", "read_committed"]
    # Bytes that are no Avro are told as an error; the records after them still come.
    arguments.append("--skip-message-on-error")
    for name, value in properties.items():
        arguments += ["--property", f"{name}={value}"]
    if from_beginning:
        arguments.append("--from-beginning")
    classpath = f"{kafka_classpath()}:{folder_of('avro-serde')}/*"
    _become_java(classpath, MAIN_CLASSES["kafka-console-consumer"], arguments)


def _require_topic(stack: Stack, topic: str) -> None:
    """The console consumer would wait for a topic that nobody has made."""
    arguments = ["--bootstrap-server", stack.address("kafka"), "--list"]
    command = _java(kafka_classpath(), MAIN_CLASSES["kafka-topics"], arguments)
    listed = subprocess.run(command, check=False, capture_output=True, text=True)
    if listed.returncode != 0:
        raise StackError(f"the broker at {stack.address('kafka')} does not answer; `make run` starts one")
    topics = sorted(name for name in listed.stdout.split() if not name.startswith("__"))
    if topic not in topics:
        raise StackError(f"there is no topic {topic!r}; there are:\n" + "\n".join(f"  {name}" for name in topics))


def main() -> NoReturn:
    """For bin/: the name it is called by is the tool."""
    try:
        run_tool(os.path.basename(sys.argv[0]), sys.argv[1:])
    except StackError as error:
        sys.exit(f"{os.path.basename(sys.argv[0])}: {error}")


def _become_java(classpath: str, main_class: str, arguments: list[str]) -> NoReturn:
    command = _java(classpath, main_class, arguments)
    os.execv(command[0], command)


def _java(classpath: str, main_class: str, arguments: list[str]) -> list[str]:
    log_config = f"-Dlog4j2.configurationFile={CONFIG / 'kafka-tools-log4j2.properties'}"
    return [str(prerequisites.java()), *JVM_OPTIONS, log_config, "-cp", classpath, main_class, *arguments]
