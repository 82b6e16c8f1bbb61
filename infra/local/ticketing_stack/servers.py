"""The servers below the services: Kafka, Cassandra, the schema registry, the mailbox; and
Envoy in front of them all."""

import base64
import shutil
import subprocess
import uuid
from pathlib import Path

from . import prerequisites, readiness
from .errors import StackError
from .fetch import folder_of
from .layout import CONFIG, GATEWAY_TEMPLATE, Stack
from .programs import Program, environment_of
from .templates import rendered

# Heaps for a machine of two cores that compiles at the same time. G1 pays for short pauses of
# large heaps with a tenth of the throughput; these heaps are small.
KAFKA_HEAP = ["-Xms512m", "-Xmx512m", "-XX:+UseParallelGC"]
CASSANDRA_HEAP = ["-Xms1g", "-Xmx1g", "-XX:+UseParallelGC"]
# It answers a few calls when services start, so its own start is what counts: the quick
# compiler alone takes half of the time.
REGISTRY_JVM = ["-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"]

# A JVM without memory limps on and answers some calls; a dead one is noticed.
DIE_WITHOUT_MEMORY = "-XX:+ExitOnOutOfMemoryError"

ENVOY_WORKERS = 2

# Cassandra reaches into the JDK; upstream keeps this list in its jvm17-server.options.
CASSANDRA_EXPORTS = (
    "java.base/java.lang.ref java.base/java.lang.reflect java.base/jdk.internal.misc"
    " java.base/jdk.internal.ref java.base/sun.nio.ch java.management.rmi/com.sun.jmx.remote.internal.rmi"
    " java.rmi/sun.rmi.registry java.rmi/sun.rmi.server java.sql/java.sql jdk.unsupported/sun.misc"
).split()
CASSANDRA_OPENS = (
    "java.base/java.io java.base/java.lang java.base/java.lang.module java.base/java.lang.reflect"
    " java.base/java.nio java.base/java.util java.base/java.util.concurrent"
    " java.base/java.util.concurrent.atomic java.base/jdk.internal.loader java.base/jdk.internal.math"
    " java.base/jdk.internal.module java.base/jdk.internal.ref java.base/jdk.internal.reflect"
    " java.base/jdk.internal.util.jar java.base/sun.nio.ch jdk.management/com.sun.management.internal"
).split()


def servers(stack: Stack) -> list[Program]:
    return [_kafka(stack), _cassandra(stack), _registry(stack), _mailbox(stack)]


def gateway(stack: Stack, with_keys: bool) -> Program:
    """`with_keys`: ready only once it has identity's keys and so can let people in."""
    admin = f"http://{stack.address('envoy_admin')}"
    config = rendered(stack, GATEWAY_TEMPLATE)

    def ready() -> None:
        readiness.http(f"{admin}/ready", "LIVE")
        if with_keys:
            stats = readiness.http(f"{admin}/stats?filter=jwks_fetch_success")
            if not any(int(line.rpartition(": ")[2]) > 0 for line in stats.splitlines()):
                raise readiness.NotReady("Envoy has not fetched identity's keys yet")

    return Program(
        name="gateway",
        argv=[
            str(folder_of("envoy") / "lib/envoy/_bin/envoy"),
            "--config-path", str(config),
            "--concurrency", str(ENVOY_WORKERS),
            # Hot restart shares memory by a number that two stacks would have in common.
            "--disable-hot-restart",
            "--log-level", "warning",
        ],
        ready=ready,
        port_names=("gateway", "envoy_admin"),
        stop_seconds=5,
        inputs=(config,),
    )  # fmt: skip


def kafka_classpath() -> str:
    return f"{folder_of('kafka')}/*"


def _kafka(stack: Stack) -> Program:
    config = rendered(stack, CONFIG / "kafka.properties")
    log_config = CONFIG / "kafka-log4j2.properties"
    java = [
        str(prerequisites.java()), *KAFKA_HEAP, DIE_WITHOUT_MEMORY,
        f"-Dlog4j2.configurationFile={log_config}", "-cp", kafka_classpath(),
    ]  # fmt: skip

    def format_storage() -> None:
        """A KRaft node refuses to start on a folder without the cluster's name in it."""
        if (stack.data / "kafka" / "meta.properties").exists():
            return
        cluster = base64.urlsafe_b64encode(uuid.uuid5(uuid.NAMESPACE_URL, stack.name).bytes)
        command = [
            *java, "kafka.tools.StorageTool", "format", "--ignore-formatted",
            f"--cluster-id={cluster.decode()[:22]}", f"--config={config}",
        ]  # fmt: skip
        ran = subprocess.run(command, env=environment_of({}), capture_output=True, text=True)
        if ran.returncode != 0:
            raise StackError(f"Kafka could not format {stack.data}/kafka:\n{ran.stdout}{ran.stderr}")

    return Program(
        name="kafka",
        argv=[*java, "kafka.Kafka", str(config)],
        ready=lambda: readiness.kafka(stack.ports["kafka"]),
        port_names=("kafka", "kafka_controller"),
        stop_seconds=30,
        inputs=(config, log_config),
        prepare=format_storage,
    )


def _cassandra(stack: Stack) -> Program:
    jars = folder_of("cassandra")
    config = rendered(stack, CONFIG / "cassandra.yaml")
    log_config = CONFIG / "cassandra-logback.xml"
    (agent,) = jars.glob("jamm-*.jar")
    return Program(
        name="cassandra",
        argv=[
            str(prerequisites.java()), *CASSANDRA_HEAP, DIE_WITHOUT_MEMORY,
            f"-javaagent:{agent}",
            "-Djdk.attach.allowAttachSelf=true",
            "-Dio.netty.tryReflectionSetAccessible=true",
            "-Dchronicle.analytics.disable=true",
            f"-Dcassandra.config={config.as_uri()}",
            f"-Dcassandra.storagedir={stack.data}/cassandra",
            f"-Dlogback.configurationFile={log_config}",
            "-Dcassandra-foreground=yes",
            # There is no other node to wait for: half a minute less at each start.
            "-Dcassandra.ring_delay_ms=0",
            "-Dcassandra.skip_wait_for_gossip_to_settle=0",
            *(part for name in CASSANDRA_EXPORTS for part in ("--add-exports", f"{name}=ALL-UNNAMED")),
            *(part for name in CASSANDRA_OPENS for part in ("--add-opens", f"{name}=ALL-UNNAMED")),
            "-cp", f"{jars}/*", "org.apache.cassandra.service.CassandraDaemon",
        ],
        ready=lambda: readiness.cql(stack.ports["cql"]),
        port_names=("cql", "cassandra_storage"),
        stop_seconds=30,
        inputs=(config, log_config),
    )  # fmt: skip


def _registry(stack: Stack) -> Program:
    (runner,) = folder_of("registry").glob("*-runner.jar")
    # In memory, its default, a restart would number the schemas anew and every record would
    # be unreadable. WRITE_DELAY: a number that was given out must survive a crash.
    database = f"jdbc:h2:file:{stack.data}/registry/registry;WRITE_DELAY=0"
    return Program(
        name="registry",
        argv=[str(prerequisites.java()), *REGISTRY_JVM, DIE_WITHOUT_MEMORY, "-jar", str(runner)],
        environment={
            "QUARKUS_HTTP_HOST": "127.0.0.1",
            "QUARKUS_HTTP_PORT": str(stack.ports["registry"]),
            "REGISTRY_DATASOURCE_URL": database,
        },
        ready=lambda: readiness.http(f"http://{stack.address('registry')}/apis/ccompat/v7/subjects"),
        port_names=("registry",),
        stop_seconds=15,
    )


def _mailbox(stack: Stack) -> Program:
    mails = stack.data / "mailbox"

    def ready() -> None:
        readiness.http(f"http://{stack.address('mailbox')}/healthz")
        readiness.smtp(stack.ports["smtp"])

    return Program(
        name="mailbox",
        argv=[
            _node(), str(folder_of("mailbox") / "node_modules/maildev/bin/maildev"),
            "--ip", "127.0.0.1", "--smtp", str(stack.ports["smtp"]),
            "--web-ip", "127.0.0.1", "--web", str(stack.ports["mailbox"]),
            "--mail-directory", str(mails),
        ],
        ready=ready,
        port_names=("smtp", "mailbox"),
        stop_seconds=5,
        prepare=lambda: mails.mkdir(parents=True, exist_ok=True),
    )  # fmt: skip


def _node() -> str:
    found = shutil.which("node")
    if not found:
        raise StackError("no node on the PATH: run `infra/local/stack check`")
    return str(Path(found).resolve())
