"""What a test, a seed or a person needs to know about a stack."""

from .layout import SERVICES, TWICE, Stack
from .services import FIRST_ADMIN_EMAIL, LOCAL_PASSWORD, catalog_secret, identity_key, shared_environment

SIGN_INS = (
    ("admin@example.com", "admin"),
    ("organizer@example.com", "organizer"),
    ("gate@example.com", "gate"),
    ("support@example.com", "support"),
    ("alice@example.com", "customer, English"),
    ("bruno@example.com", "customer, French"),
)


def welcome(stack: Stack) -> str:
    lines = [
        "",
        f"Gateway       {stack.origin}/v1/events",
        f"API pages     {stack.origin}/api-docs",
        f"Mailbox       http://{stack.address('mailbox')}",
        f"Kafka         {stack.address('kafka')}, its tools are in infra/local/bin",
        f"Registry      http://{stack.address('registry')}/apis/ccompat/v7/subjects",
        f"CQL           {stack.address('cql')}",
        "",
        f'Sign in with the password "{LOCAL_PASSWORD}" as',
        *(f"  {email:<24}{roles}" for email, roles in SIGN_INS),
        "",
        "Watch payments come in:  make tail topic=checkout.payments",
        "Stop, keeping the data:  make down",
    ]
    return "\n".join(lines)


def exported(stack: Stack) -> dict[str, str]:
    """For programs, as environment variables."""
    urls = {
        "STACK": stack.name,
        "STACK_OFFSET": str(stack.offset),
        "STACK_FOLDER": str(stack.folder),
        "GATEWAY_URL": stack.origin,
        "MAILBOX_URL": f"http://{stack.address('mailbox')}",
        "SMTP_URL": f"smtp://{stack.address('smtp')}",
        "ENVOY_ADMIN_URL": f"http://{stack.address('envoy_admin')}",
        "IDENTITY_FIRST_ADMIN_EMAIL": FIRST_ADMIN_EMAIL,
        "IDENTITY_FIRST_ADMIN_PASSWORD": LOCAL_PASSWORD,
        "SVC_CATALOG_SECRET": catalog_secret(stack),
        # For a test that starts a svc-identity of its own.
        "IDENTITY_KEY_ENCRYPTION_KEY": identity_key(stack),
    }
    for service in SERVICES:
        urls[f"{service.upper()}_URL"] = f"http://{stack.address(service)}"
        urls[f"{service.upper()}_ADMIN_URL"] = f"http://{stack.address(service + '_admin')}"
    for service in TWICE:
        urls[f"{service.upper()}_2_URL"] = f"http://{stack.address(service + '_2')}"
        urls[f"{service.upper()}_2_ADMIN_URL"] = f"http://{stack.address(service + '_2_admin')}"
    return urls | shared_environment(stack)
