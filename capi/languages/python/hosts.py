"""shop.py in gunicorn and in Celery, with several workers that share a store directory; one line for each."""
import concurrent.futures
import contextlib
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

CONTROL = os.environ["PAYTOKEN_SANDBOX_CONTROL"]


def control(method, path):
    with urllib.request.urlopen(urllib.request.Request(CONTROL + path, method=method), timeout=15) as answer:
        return answer.read()


def requests():
    return json.loads(control("GET", "/stats"))["send-payments"]["token_requests"]


def report(name, process, answers, begun):
    """Each answer: process, threads, descriptors, longest pause. The host is told to end, which it has to by itself."""
    assert requests() == 1, requests()
    first, last = {}, {}
    for pid, *figures in answers:
        first.setdefault(pid, figures)
        last[pid] = figures
    ending = time.monotonic()
    process.send_signal(signal.SIGTERM)
    ended = process.wait(timeout=30)
    assert ended == 0, ended
    figures = f"1 request for {len(answers)} calls in {len(last)} workers"
    for column, what in enumerate(("threads", "descriptors")):
        figures += f", {what} {max(each[column] for each in first.values())} to {max(each[column] for each in last.values())}"
    longest = max(each[2] for each in last.values())
    print(f"   Python, {name}: {figures}, {f'longest pause {longest:.1f} ms, ' if longest else ''}"
          f"ended {time.monotonic() - ending:.1f} s after TERM, {time.monotonic() - begun:.1f} s in all")


@contextlib.contextmanager
def running(place, arguments, **options):
    """A host that ends with the block, and shows what it logged if that fails."""
    with open(place / "log", "w") as log:
        process = subprocess.Popen(arguments, stdout=log, stderr=log, **options)
    try:
        yield process
    except BaseException:
        sys.stderr.write((place / "log").read_text())
        raise
    finally:
        process.kill()
        process.wait()


def gunicorn(kind, place):
    begun = time.monotonic()
    # Bound here, so that calls may be made before a worker is there.
    with socket.create_server(("127.0.0.1", 0), backlog=200) as listener:
        url = "http://127.0.0.1:%d/" % listener.getsockname()[1]

        def get(_):
            with urllib.request.urlopen(url, timeout=30) as answer:
                pid, threads, descriptors, longest = answer.read().split()
                return int(pid), int(threads), int(descriptors), float(longest)

        with running(place, ["gunicorn", "--preload", "-k", kind, "-w", "3", "--threads", "4", "-c", "python:shop",
                             "-b", f"fd://{listener.fileno()}", "--no-control-socket", "--graceful-timeout", "5", "shop:application"],
                     pass_fds=[listener.fileno()]) as process:
            with concurrent.futures.ThreadPoolExecutor(20) as pool:
                answers = list(pool.map(get, range(100)))
            report(f"gunicorn --preload, {kind}", process, answers, begun)


def celery(place):
    begun = time.monotonic()
    broker = place / "broker"
    redis = subprocess.Popen(["redis-server", "--port", "0", "--unixsocket", str(broker), "--save", "", "--dir", str(place)],
                             stdout=subprocess.PIPE, text=True)
    try:
        assert any("ready to accept" in line for line in redis.stdout)
        os.environ["SHOP_BROKER"] = f"redis+socket://{broker}"
        with running(place, ["celery", "-A", "shop", "worker", "-P", "prefork", "-c", "3", "--without-gossip", "--without-mingle"]) as process:
            import shop
            tasks = [shop.pay.delay() for _ in range(60)]
            report("Celery, prefork", process, [task.get(timeout=60) for task in tasks], begun)
    finally:
        redis.kill()
        redis.wait()


for host in (lambda place: gunicorn("gthread", place), lambda place: gunicorn("gevent", place), celery):
    with tempfile.TemporaryDirectory() as place:
        os.environ["PAYTOKEN_STORE"] = f"{place}/store"
        control("POST", "/reset")
        host(pathlib.Path(place))
