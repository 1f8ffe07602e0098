"""The package under gevent and eventlet, with the source made before or after patching: green.py HOST before|after."""
import sys

host, when = sys.argv[1:]


def patch():
    if host == "gevent":
        from gevent import monkey
        monkey.patch_all()
    else:
        import eventlet
        eventlet.monkey_patch()


if when == "after":
    patch()
import json
import logging
import os
import pathlib
import tempfile
import threading
import time
import urllib.request

import paytoken

assert "gevent" not in sys.modules or host == "gevent", "the package imports nobody's loop"
source = paytoken.Source.from_env(paytoken.Provider.SEND_PAYMENTS)
if when == "before":
    source.invalidate(source.token())  # a fetch of before, and a thread of before
    patch()


def control(method, path):
    request = urllib.request.Request(os.environ["PAYTOKEN_SANDBOX_CONTROL"] + path, method=method)
    with urllib.request.urlopen(request, timeout=15) as answer:
        return answer.read()


def requests():
    return json.loads(control("GET", "/stats"))["send-payments"]["token_requests"]


longest, ticks, is_over = 0.0, 0, False


def tick():
    global longest, ticks
    last = time.monotonic()
    while not is_over:
        time.sleep(0.001)
        longest, last, ticks = max(longest, time.monotonic() - last), time.monotonic(), ticks + 1


control("POST", "/reset")
control("POST", "/send-payments/hold")
ticker = threading.Thread(target=tick)
ticker.start()
headers, threads = [], []
for _ in range(100):
    threads.append(threading.Thread(target=lambda: headers.append(source.authorization())))
    threads[-1].start()
try:
    source.authorization(timeout=0.05)
    raise AssertionError("held, and yet there is a token")
except paytoken.Error as error:
    assert error.code == paytoken.Code.TIMEOUT
native = len(os.listdir("/proc/self/task"))
descriptors = len(os.listdir("/proc/self/fd"))
# That this line runs shows that no greenlet holds up the others; the request is let go here alone.
assert not headers and ticks > 10
control("POST", "/send-payments/release")
for thread in threads:
    thread.join()
assert len(headers) == 100 and len(set(headers)) == 1 and requests() == 1
answers = iter([(401, None), (200, "paid")])
assert source.call(lambda authorization: next(answers)) == (200, "paid") and requests() == 2

records = []
handler = logging.Handler()
handler.emit = records.append
logger = logging.getLogger("shop")
logger.addHandler(handler)
logger.propagate = False
with tempfile.TemporaryDirectory() as place:
    away = paytoken.Source.from_env(paytoken.Provider.SEND_PAYMENTS, store_directory=f"{place}/store")
    pathlib.Path(place, "store").write_text("a file where the directory is to be")
    paytoken.log_to(logger, logging.WARNING)
    try:
        away.token()
    except paytoken.Error as error:
        assert error.code == paytoken.Code.STORE
    while not records:
        time.sleep(0.001)
    paytoken.log_to(None)
is_over = True
ticker.join()
print(f"   Python, {host}, source made {'after' if when == 'after' else 'before'} patching: 100 greenlets, 1 request, longest pause "
      f"{longest * 1000:.1f} ms, {native} threads, {descriptors} descriptors, {len(os.listdir('/proc/self/fd'))} afterwards")
