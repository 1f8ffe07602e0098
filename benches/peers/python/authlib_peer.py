"""Peer: authlib's session over requests.

authlib_peer.py token                             one token on stdout
authlib_peer.py cached THREADS CALLS              nanoseconds that all calls took, and their number
authlib_peer.py herd renewal|ended|empty THREADS  how many got no token, and each wait in ns
"""

import os
import sys

from authlib.integrations.requests_client import OAuth2Session


def session():
    variable = os.environ
    made = OAuth2Session(
        variable["NTXPAY_CLIENT_ID"],
        variable["NTXPAY_CLIENT_SECRET"],
        token_endpoint=variable["NTXPAY_BASE_URL"] + "/api/auth/token",
        grant_type="client_credentials",
        default_timeout=15,
    )
    made.verify = variable["PAYTOKEN_CA"]
    made.cert = (variable["NTXPAY_CLIENT_CERT"], variable["NTXPAY_CLIENT_KEY"])
    return made


def held(client):
    """What each request of the session does first."""
    if client.token is None:
        client.fetch_token()
    elif not client.ensure_active_token(client.token):
        raise RuntimeError("no token")
    return client.token["access_token"]


def on_threads(count, work):
    """Nanoseconds from start to end of all threads, and of each."""
    import threading
    import time

    barrier = threading.Barrier(count)
    times = []

    def run():
        barrier.wait()
        start = time.monotonic_ns()
        work()
        times.append((start, time.monotonic_ns()))

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    whole = max(end for _, end in times) - min(start for start, _ in times)
    return whole, [end - start for start, end in times]


def cached(threads, calls):
    client = session()
    client.fetch_token()
    each = -(-calls // threads)

    def work():
        for _ in range(each):
            held(client)

    print(on_threads(threads, work)[0], each * threads)


def herd(situation, threads):
    import time

    client = session()
    if situation != "empty":
        client.fetch_token()
        # It wants a new one from 60 s before the end.
        left = 30 if situation == "renewal" else -1
        client.token["expires_at"] = int(time.time()) + left
    print("ready", flush=True)
    sys.stdin.readline()
    failed = []

    def work():
        try:
            held(client)
        except Exception as error:
            failed.append(error)

    _, waits = on_threads(threads, work)
    print(len(failed))
    for wait in waits:
        print(wait)


if __name__ == "__main__":
    task = sys.argv[1]
    if task == "token":
        print(session().fetch_token()["access_token"])
    elif task == "cached":
        cached(int(sys.argv[2]), int(sys.argv[3]))
    elif task == "herd":
        herd(sys.argv[2], int(sys.argv[3]))
    else:
        sys.exit("token, cached or herd")
