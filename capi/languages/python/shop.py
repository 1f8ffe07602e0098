"""A shop that hosts.py serves: a WSGI application, and Celery's tasks. Its source is made before the workers are."""
import functools
import os
import ssl
import threading
import time
import urllib.request

import paytoken

source = paytoken.Source.from_env(paytoken.Provider.SEND_PAYMENTS)
longest = 0.0


@functools.lru_cache(None)
def tls():
    """Made in the worker: one of before gevent patches it recurses for ever."""
    return ssl.create_default_context(cafile=os.environ["PAYTOKEN_CA"])


def accounts(authorization):
    request = urllib.request.Request(os.environ["SENDPAYMENTS_BASE_URL"] + "/accounts", headers={"Authorization": authorization})
    with urllib.request.urlopen(request, timeout=15, context=tls()) as answer:
        return answer.status, answer.read()


def paid():
    status, _ = source.call(accounts)
    assert status == 200
    return [os.getpid(), len(os.listdir("/proc/self/task")), len(os.listdir("/proc/self/fd")), longest * 1000]


def tick():
    global longest
    last = time.monotonic()
    while True:
        time.sleep(0.001)
        longest, last = max(longest, time.monotonic() - last), time.monotonic()


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [" ".join(map(str, paid())).encode()]



def post_worker_init(worker):
    threading.Thread(target=tick, daemon=True).start()


if "SHOP_BROKER" in os.environ:
    import celery

    app = celery.Celery("shop", broker=os.environ["SHOP_BROKER"], backend=os.environ["SHOP_BROKER"])
    app.conf.update(task_serializer="json", worker_hijack_root_logger=False)
    pay = app.task(name="pay")(paid)
