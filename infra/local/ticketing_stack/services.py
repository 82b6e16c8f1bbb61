"""The four services: their binaries and the environment each one gets."""

import base64
import os
import secrets
from pathlib import Path

from . import readiness
from .errors import StackError
from .layout import CLONE, SERVICES, Stack
from .programs import Program

# The seeded users' password, which `make run` prints; nothing but a laptop's stack has it.
LOCAL_PASSWORD = "correct horse battery staple"
FIRST_ADMIN_EMAIL = "admin@example.com"


# Thousands of buyers of a local stack, and every test, come from one address: what is counted by address is raised
# out of their way, and so is what tests do to one account. Guesses at one account from one address stay few enough to
# be seen refused.
_MANY = "1000000/1m"
_LIMITS_OF_ONE_ADDRESS = {
    "IDENTITY_LIMIT_SIGN_INS": _MANY,
    "IDENTITY_LIMIT_GUESSES": "60/1m",
    "IDENTITY_LIMIT_STRANGERS": _MANY,
    "IDENTITY_LIMIT_REGISTRATIONS": _MANY,
    "IDENTITY_LIMIT_MAIL_REQUESTS": _MANY,
    "IDENTITY_LIMIT_MAILS": _MANY,
    "IDENTITY_LIMIT_LINKS": _MANY,
    "IDENTITY_LIMIT_CASE_MESSAGES": _MANY,
    "IDENTITY_LIMIT_EXPORTS": _MANY,
}


def program_name(service: str) -> str:
    return f"svc-{service}"


def services(stack: Stack) -> list[Program]:
    missing = [str(binary(service)) for service in SERVICES if not binary(service).exists()]
    if missing:
        raise StackError(
            "not built yet: " + ", ".join(missing) + "\nRun `cargo build --release --bins`, or set"
            " STACK_PROFILE=debug for the binaries of `cargo build`; `stack up --servers` needs none."
        )
    return [_service(stack, service) for service in SERVICES]


def second_instance(stack: Stack, service: str) -> Program:
    """Beside the first one. Not part of `up`: for whoever wants to see the two share the work."""
    return _service(stack, service, instance=2)


def second_name(service: str) -> str:
    return f"{program_name(service)}-2"


def binary(service: str) -> Path:
    profile = os.environ.get("STACK_PROFILE", "release")
    target = Path(os.environ.get("CARGO_TARGET_DIR", CLONE / "target"))
    return target.resolve() / profile / program_name(service)


def _served_binary(service: str) -> Path:
    """SVC_CHECKOUT_BINARY is another build of svc-checkout to serve with; its commands stay those of the ordinary one."""
    variable = f"{program_name(service)}_binary".upper().replace("-", "_")
    return Path(os.environ.get(variable, binary(service)))


def shared_environment(stack: Stack) -> dict[str, str]:
    """What every service, and every test, needs to find the servers."""
    return {
        "APP_ENV": "local",
        "KAFKA_BROKERS": stack.address("kafka"),
        "KAFKA_REPLICATION_FACTOR": "1",
        "EVENT_PARTITIONS": "6",
        "SCHEMA_REGISTRY_URL": f"http://{stack.address('registry')}/apis/ccompat/v7",
        "CQL_NODES": stack.address("cql"),
        "CQL_REPLICATION_FACTOR": "1",
        "CQL_DATACENTER": "datacenter1",
        "AUTH_ISSUER": stack.origin,
        "AUTH_JWKS_URL": f"http://{stack.address('identity')}/.well-known/jwks.json",
    }


def environment(stack: Stack, service: str, instance: int = 1) -> dict[str, str]:
    name = program_name(service)
    port = _port_name(service, instance)
    own = shared_environment(stack) | {
        "HTTP_ADDR": stack.address(port),
        "ADMIN_ADDR": stack.address(f"{port}_admin"),
        "CQL_KEYSPACE": service,
        "INSTANCE_NAME": f"{name}-{instance}",
        "RUST_LOG": "info",
        "LOG_FORMAT": "text",
    }
    if service == "identity":
        own |= {
            "IDENTITY_KEY_ENCRYPTION_KEY": identity_key(stack),
            "IDENTITY_FIRST_ADMIN_EMAIL": FIRST_ADMIN_EMAIL,
            "IDENTITY_FIRST_ADMIN_PASSWORD": LOCAL_PASSWORD,
            "IDENTITY_SECRET_OF_SVC_CATALOG": catalog_secret(stack),
            "CHECKOUT_URL": f"http://{stack.address('checkout')}",
            "CATALOG_URL": f"http://{stack.address('catalog')}",
            "MAILER_URL": f"http://{stack.address('mailer')}",
            # Envoy, and all of this machine's programs that call the service past it.
            "TRUSTED_PROXIES": "127.0.0.1",
        } | _LIMITS_OF_ONE_ADDRESS
    if service == "catalog":
        own |= {
            "CHECKOUT_URL": f"http://{stack.address('checkout')}",
            "SERVICE_TOKEN_URL": f"http://{stack.address('identity')}/v1/service-tokens",
            "SERVICE_SECRET": catalog_secret(stack),
        }
    if service == "checkout":
        own |= {
            "CHECKOUT_TICKET_SIGNING_KEY": _key(stack, "checkout-ticket-signing-key"),
            # SVC_CHECKOUT__CHECKOUT_PAYMENT_PROVIDER=stripe and its secrets in the caller's environment make it Stripe.
            "CHECKOUT_PAYMENT_PROVIDER": "simulated",
            # More than the fuzzer makes, few enough to be seen refused.
            "CHECKOUT_LIMIT_VOUCHER_GUESSES": "60/10m",
        }
    if service == "mailer":
        own |= {
            "SMTP_URL": f"smtp://{stack.address('smtp')}",
            "MAIL_FROM": "Tickets <tickets@example.com>",
            "PUBLIC_URL": stack.origin,
            "MAILER_KEY_ENCRYPTION_KEY": _key(stack, "mailer-key-encryption-key"),
        }
    return own | _overrides(name)


def _port_name(service: str, instance: int) -> str:
    return service if instance == 1 else f"{service}_{instance}"


def _service(stack: Stack, service: str, instance: int = 1) -> Program:
    name, port = program_name(service), _port_name(service, instance)
    served = _served_binary(service)
    return Program(
        name=name if instance == 1 else second_name(service),
        argv=[str(served), "serve"],
        environment=environment(stack, service, instance),
        ready=lambda: readiness.http(f"http://{stack.address(port + '_admin')}/readyz"),
        port_names=(port, f"{port}_admin"),
        stop_seconds=20,
        inputs=(served,),
    )


def _overrides(name: str) -> dict[str, str]:
    """SVC_CHECKOUT__NAME=value in the caller's environment is NAME=value for svc-checkout."""
    prefix = name.upper().replace("-", "_") + "__"
    return {key.removeprefix(prefix): value for key, value in os.environ.items() if key.startswith(prefix)}


def catalog_secret(stack: Stack) -> str:
    """Under which svc-catalog gets its tokens from svc-identity."""
    return _key(stack, "secret-of-svc-catalog")


def identity_key(stack: Stack) -> str:
    """With which svc-identity keeps its signing keys."""
    return _key(stack, "identity-key-encryption-key")


def _key(stack: Stack, name: str) -> str:
    """32 random bytes. Rows and tickets of this stack depend on them, so they live and die with the data."""
    file = stack.data / name
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "wb") as output:
            output.write(base64.b64encode(secrets.token_bytes(32)))
    return file.read_text()
