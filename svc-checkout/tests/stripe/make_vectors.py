"""Writes vectors.json: signatures of webhooks, made and judged by Stripe's official Python library.

    python3 -m venv /tmp/stripe-vectors
    /tmp/stripe-vectors/bin/pip install --require-hashes --no-deps -r svc-checkout/tests/stripe/requirements.txt
    /tmp/stripe-vectors/bin/python svc-checkout/tests/stripe/make_vectors.py

The output does not depend on the clock, so the same version of the library writes the same file.
"""

import json
import time
from pathlib import Path
from unittest import mock

import stripe
from stripe import SignatureVerificationError, WebhookSignature

OUTPUT = Path(__file__).with_name("vectors.json")
NOW = 1_795_343_891
SECRET = "whsec_the_first_of_the_tests"
OLD_SECRET = "whsec_the_second_of_the_tests"
BODY = json.dumps({"id": "evt_1", "object": "event", "type": "payment_intent.succeeded"}, indent=2)

cases = []


def sign(body=BODY, secret=SECRET, at=NOW):
    return WebhookSignature.generate_signature_header(body, secret, at)


def v1(body=BODY, secret=SECRET, at=NOW):
    return sign(body, secret, at).split("v1=")[1]


def judge(name, header, body=BODY, secrets=(SECRET,), now=float(NOW)):
    """With several secrets one after the other, as one does who replaces a secret."""
    accepted = False
    for secret in secrets:
        with mock.patch.object(time, "time", lambda: now):
            try:
                WebhookSignature.verify_header(body, header, secret, stripe.Webhook.DEFAULT_TOLERANCE)
                accepted = True
            except SignatureVerificationError:
                pass
    cases.append(
        {"name": name, "secrets": list(secrets), "header": header, "body": body, "now": now, "accepted": accepted}
    )


judge("good", sign())
judge("with an empty body", sign(""), "")
judge("with a body beyond ASCII", sign('{"name": "Zoë 🎫"}'), '{"name": "Zoë 🎫"}')
judge("with line ends and blanks as they came", sign("{ }\r\n\n"), "{ }\r\n\n")
judge("several signatures, the last one ours", f"t={NOW},v1={'0' * 64},v1={v1()}")
judge("several signatures, the first one ours", f"t={NOW},v1={v1()},v1={'0' * 64}")
judge("the scheme of Stripe's tests beside ours", f"t={NOW},v1={v1()},v0={'0' * 64}")
judge("schemes before the time", f"v1={v1()},t={NOW}")
judge("two times: the first one counts", f"t={NOW},t=1,v1={v1()}")
judge("two secrets, signed with the old one", sign(secret=OLD_SECRET), secrets=(SECRET, OLD_SECRET))
judge("two secrets, signed with both", f"{sign()},v1={v1(secret=OLD_SECRET)}", secrets=(OLD_SECRET, SECRET))
judge("as old as allowed", sign(at=NOW - 300))
judge("from a clock before ours", sign(at=NOW + 3_600))
judge("a little too old", sign(at=NOW - 300), now=NOW + 0.5)
judge("too old", sign(at=NOW - 301))
judge("a day old", sign(at=NOW - 86_400))
judge("from the epoch", sign(at=0))
judge("before the epoch", sign(at=-1))
judge("another body", sign(), BODY + " ")
judge("another secret", sign(secret=OLD_SECRET))
judge("two secrets, signed with neither", sign(secret="whsec_of_somebody"), secrets=(SECRET, OLD_SECRET))
judge("another time", f"t={NOW + 1},v1={v1()}")
judge("two times: the second one was signed", f"t=1,t={NOW},v1={v1()}")
judge("only the scheme of Stripe's tests", f"t={NOW},v0={v1()}")
judge("in capitals", f"t={NOW},v1={v1().upper()}")
judge("cut short", f"t={NOW},v1={v1()[:-1]}")
judge("one digit more", f"t={NOW},v1={v1()}0")
judge("an empty signature", f"t={NOW},v1=")
judge("a scheme without a signature", f"t={NOW},v1")
judge("no signature", f"t={NOW}")
judge("no time", f"v1={v1()}")
judge("a time that is none", f"t=now,v1={v1()}")
judge("a blank after the comma", f"t={NOW}, v1={v1()}")
judge("an empty header", "")
judge("no header", None)
judge("nonsense", "signed, Stripe")

OUTPUT.write_text(
    json.dumps({"made_by": f"stripe {stripe.VERSION} for Python", "cases": cases}, indent=1, ensure_ascii=False) + "\n"
)
print(f"{len(cases)} cases, {sum(case['accepted'] for case in cases)} accepted")
