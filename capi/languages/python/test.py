"""The package against the sandbox: run by capi/languages/run."""
import asyncio
import concurrent.futures
import contextlib
import io
import json
import logging
import os
import pathlib
import pickle
import shutil
import signal
import ssl
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request

import paytoken
from paytoken import Code, Error, Provider, Source

CONTEXT = ssl.create_default_context(cafile=os.environ["PAYTOKEN_CA"])


def control(method, path):
    request = urllib.request.Request(os.environ["PAYTOKEN_SANDBOX_CONTROL"] + path, method=method)
    with urllib.request.urlopen(request, timeout=15) as answer:
        return answer.read()


def stats(service="send-payments"):
    return json.loads(control("GET", "/stats"))[service]


def accounts(authorization):
    """A call of the API: what a program would do."""
    request = urllib.request.Request(os.environ["SENDPAYMENTS_BASE_URL"] + "/accounts")
    request.add_header("Authorization", authorization)
    try:
        with urllib.request.urlopen(request, timeout=15, context=CONTEXT) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as answer:
        return answer.code, answer.read()


def failure(call):
    try:
        call()
    except Error as error:
        return error
    raise AssertionError("this was to fail")


def in_child(work):
    """Runs it in a forked child, which ends without destructors, and says whether it held."""
    child = os.fork()
    if child == 0:
        held = 1
        try:
            held = 0 if work() else 1
        finally:
            os._exit(held)
    return child


def each_provider_gives_a_header():
    for provider in Provider:
        with Source.from_env(provider) as source:
            header = source.authorization()
            assert header == "Bearer " + source.token() and len(header) > 20
            assert source.status()["requests"] == 1
            source.token(force=True)
            assert source.status()["requests"] == 2, source.status()
    files = {name: pathlib.Path(os.environ[variable]).read_bytes() for name, variable in (
        ("certificate_pem", "NTXPAY_CLIENT_CERT"), ("private_key_pem", "NTXPAY_CLIENT_KEY"),
        ("root_certificates_pem", "PAYTOKEN_CA"))}
    by_hand = Source(Provider.NTX_PAY, paytoken.Environment.SANDBOX, client_id=os.environ["NTXPAY_CLIENT_ID"],
                     client_secret=os.environ["NTXPAY_CLIENT_SECRET"], base_url=os.environ["NTXPAY_BASE_URL"],
                     timeout_ms=5000, retries=1, **files)
    assert by_hand.authorization().startswith("Bearer ")


PLAYED = {"name": "played", "token_endpoint": "/auth", "auth": "none", "body": "json", "renewal": "replaces-previous",
          "fields": {"clientId": "{shop}", "clientSecret": "{api_key}"}, "identity": ["shop"], "secrets": ["api_key"],
          "token": "/accessToken", "expires_at": "/expiresAt"}


def a_described_provider_gives_a_header():
    played = PLAYED
    values = {"shop": os.environ["SENDPAYMENTS_CLIENT_ID"], "api_key": os.environ["SENDPAYMENTS_CLIENT_SECRET"]}
    terms = dict(base_url=os.environ["SENDPAYMENTS_BASE_URL"], values=values,
                 root_certificates_pem=pathlib.Path(os.environ["PAYTOKEN_CA"]).read_bytes())
    number = paytoken.describe(played)
    source = Source(number, paytoken.Environment.SANDBOX, **terms)
    assert source.call(accounts)[0] == 200 and source.authorization() == "Bearer " + source.token()
    assert source.status()["provider"] == number == paytoken.describe(json.dumps(played, indent=1)) > 3
    bare = Source(paytoken.describe({**played, "name": "bare", "prefix": ""}), paytoken.Environment.SANDBOX, **terms)
    assert bare.authorization() == bare.token() and len(bare.token()) > 20
    other = Source(paytoken.describe({**played, "name": "other", "renewal": "coexists", "prefix": "Token"}),
                   paytoken.Environment.SANDBOX, **terms)
    assert other.authorization() == "Token " + other.token()
    os.environ.update(PLAYED_SHOP=values["shop"], PLAYED_API_KEY=values["api_key"], PLAYED_BASE_URL=terms["base_url"])
    assert Source.from_env(number).authorization().startswith("Bearer ")
    secret = key = "not-a-real-secret"
    acme = paytoken.describe({
        "name": "acme", "token_endpoint": "https://auth.acme.example/oauth2/token",
        "auth": "client_secret_basic", "renewal": "coexists",
        "headers": {"x-api-key": "{api_key}"}, "secrets": ["api_key"],
    })
    source = paytoken.Source(acme, paytoken.Environment.PRODUCTION, client_id="merchant-7",
                             client_secret=secret, values={"api_key": key})
    assert source.status()["provider"] == acme
    for wrong, says in (({}, "name"), ({**played, "token": 7}, "token"), ("{", "JSON"), ({**played, "renewal": "coexists"}, "name"),
                        ({**played, "name": "new", "sekrets": []}, "secrets")):
        error = failure(lambda: paytoken.describe(wrong))
        assert error.code == Code.CONFIGURATION and says in str(error), error
    for wrong in (7, {"name": {1}}, b"{}", "\udcff", "{}\0"):
        assert str(failure(lambda: paytoken.describe(wrong))).startswith("description: "), wrong
    for wrong, says in (({"shopp": "7"}, "shopp: not known for played; it takes shop, api_key"), ({"a-key-of-mine": "api_key"}, "name: "),
                        ({"shop": 7}, "shop: has to be a str"), ({7: "7"}, "values: "), (["shop"], "values: "), ({"shop": "a\0b"}, "shop: ")):
        error = failure(lambda: Source(number, paytoken.Environment.SANDBOX, **{**terms, "values": wrong}))
        assert error.code == Code.INVALID_ARGUMENT and str(error).startswith(says), error


def many_threads_and_tasks_share_a_request():
    # Held until a task of this very loop lets the request go.
    control("POST", "/send-payments/hold")
    source = Source.from_env(Provider.SEND_PAYMENTS)
    most = 0

    async def tasks():
        nonlocal most
        asked = [asyncio.ensure_future(source.authorization_async()) for _ in range(500)]
        await asyncio.sleep(0)
        most = len(os.listdir("/proc/self/task"))
        asked[0].cancel()
        assert isinstance((await asyncio.gather(asked[0], return_exceptions=True))[0], asyncio.CancelledError)
        assert stats()["tokens_issued"] == 0, "a cancelled task waits for nothing"
        control("POST", "/send-payments/release")
        return await asyncio.gather(*asked[1:])

    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        in_threads = [pool.submit(source.authorization) for _ in range(20)]
        headers = asyncio.run(tasks()) + [thread.result() for thread in in_threads]
    assert len(headers) == 519 and len(set(headers)) == 1 and stats()["token_requests"] == 1
    assert most <= 22, most  # this one, the pool's, and the one that fetches
    print(f"   Python: 500 tasks and 20 threads on an empty cache: 1 request, {most} threads at the most")
    # A wait that is given up leaves the fetch for the next.
    source.invalidate(headers[0])
    control("POST", "/send-payments/hold")
    assert failure(lambda: source.token(timeout=0.05)).code == Code.TIMEOUT
    control("POST", "/send-payments/release")
    assert source.token() and stats()["token_requests"] == 2


def a_renewal_makes_nobody_wait():
    control("POST", "/ntx-pay/lifetime?seconds=6")
    source = Source.from_env(Provider.NTX_PAY)
    source.token()
    control("POST", "/ntx-pay/hold")
    while source.status()["requests"] < 2:
        source.token()
    assert source.status()["tokens"] == 1, "a call waited for the new token"
    control("POST", "/ntx-pay/release")


def a_wrong_secret_is_told_and_remembered():
    source = Source.from_env(Provider.SEND_PAYMENTS, client_id="señor", client_secret="contraseña")
    for _ in range(2):
        error = failure(source.authorization)
        assert error.code == Code.REJECTED and error.http_status == 401 and error.retry_after > 10
        assert not error.is_retryable and "contraseña" not in str(error)
        assert pickle.loads(pickle.dumps(error)).retry_after == error.retry_after
    assert stats()["token_requests_by_client"] == {"señor": 1}
    resident = lambda: int(pathlib.Path("/proc/self/statm").read_text().split()[1]) * 4
    for i in range(20000):
        before = resident() if i == 10000 else before if i else 0
        failure(source.authorization)
    assert resident() - before < 1024, "no error object is left behind"


def a_401_is_replayed_once():
    source, sent = Source.from_env(Provider.SEND_PAYMENTS), []

    def send(authorization):
        sent.append(authorization)
        return accounts(authorization)

    async def send_async(authorization):
        return send(authorization)

    for call in (lambda: source.call(send), lambda: asyncio.run(source.call_async(send_async))):
        sent.clear()
        control("POST", "/send-payments/fault?kind=status=401&times=1&endpoint=api")
        assert call()[0] == 200 and len(sent) == 2 and sent[0] != sent[1]
        control("POST", "/send-payments/fault?kind=status=401&times=2&endpoint=api")
        assert call()[0] == 401 and len(sent) == 4
        control("POST", "/reset")
        source = Source.from_env(Provider.SEND_PAYMENTS)
    requests = stats()["token_requests"]
    source.token()
    source.invalidate("Bearer of-yesterday")
    assert source.token() and stats()["token_requests"] == requests + 1
    try:
        source.call(lambda authorization: ("200", None))
        raise AssertionError("a status that is no number passed")
    except TypeError:
        pass


def what_cannot_be_passed_on_is_an_error():
    wrong = dict(client_secret="a\0b", store_directory="a\0b", base_url="\udcff", user_agent=b"x", certificate_pem="x",
                 timeout_ms=-1, connect_timeout_ms=1.5, retries="many", client_id=7, cliend_id="x", renew_in_background=1)
    for name, value in wrong.items():
        error = failure(lambda: Source.from_env(Provider.SEND_PAYMENTS, **{name: value}))
        assert error.code == Code.INVALID_ARGUMENT and str(error).startswith(name + ":"), (name, error)
    assert failure(lambda: Source.from_env(Provider.SEND_PAYMENTS, timeout_ms=0)).code == Code.CONFIGURATION
    assert failure(lambda: Source.from_env(9)).code == Code.INVALID_ARGUMENT
    for provider, environment in ((9, 1), (Provider.SEND_PAYMENTS, 0), (0, 9)):
        error = failure(lambda: Source(provider, environment, client_id="a", client_secret="b"))
        assert error.code == Code.INVALID_ARGUMENT and "environment" in str(error), error
    source = Source.from_env(Provider.SEND_PAYMENTS)
    for call in (lambda: source.invalidate("a\0b"), lambda: source.token(-1), lambda: source.token(float("nan")),
                 lambda: source.token(timeout=-1), lambda: source.token(timeout=float("nan"))):
        assert failure(call).code == Code.INVALID_ARGUMENT
    assert stats()["token_requests"] == 0
    # Closed while a thread waits: that call ends as it would, and the next is an error.
    control("POST", "/send-payments/hold")
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(source.token)
        while not source._flights:
            assert not waiting.done(), waiting.result()
            time.sleep(0.001)
        source.close()
        source.close()
        control("POST", "/send-payments/release")
        assert waiting.result()
    for call in (source.token, source.status, lambda: source.invalidate("x"), lambda: source.token(force=True)):
        assert "closed" in str(failure(call))


def forked_workers_have_sources_of_their_own():
    # As gunicorn --preload does: made, and even used, before the workers are.
    store = tempfile.mkdtemp()
    played = paytoken.describe(PLAYED)
    source = Source.from_env(Provider.SEND_PAYMENTS, store_directory=store)
    source._exclusive.acquire()  # as another thread might hold it at the fork
    works = lambda: (source.call(accounts)[0] == 200 and asyncio.run(source.authorization_async())
                     and paytoken.describe(PLAYED) == played)
    children = [in_child(works) for _ in range(8)]
    source._exclusive.release()
    signal.alarm(60)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * 8
    signal.alarm(0)
    assert source.token() and stats()["token_requests"] == 1
    shutil.rmtree(store)


def a_signal_handler_asks_too():
    """Wherever it comes in: while the main thread waits, and at each line of what it does to ask."""
    source, told, force = Source.from_env(Provider.SEND_PAYMENTS), [], False

    def handler(*_):
        with contextlib.suppress(Error):  # closed
            told.append(source.authorization(force=force))

    signal.signal(signal.SIGUSR1, handler)
    control("POST", "/send-payments/hold")

    def interrupt():
        while not source._flights:
            time.sleep(0.001)
        os.kill(os.getpid(), signal.SIGUSR1)
        control("POST", "/send-payments/release")

    signal.alarm(60)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        interrupting = pool.submit(interrupt)
        assert source.authorization() == told[0]
        interrupting.result()
    assert stats()["token_requests"] == 1
    lines, force = set(), True  # which is not answered from the cache

    def at_each_line(frame, event, _):
        if frame.f_code.co_filename != paytoken.__file__:
            return None
        if event == "line" and (where := (frame.f_code.co_name, frame.f_lineno)) not in lines:
            lines.add(where)
            signal.raise_signal(signal.SIGUSR1)
        return at_each_line

    for ask in (source.authorization, lambda: source.token(force=True), lambda: source.invalidate("Bearer of-yesterday"),
                source.status, source.close):
        sys.settrace(at_each_line)
        ask()
        sys.settrace(None)
    signal.alarm(0)
    signal.signal(signal.SIGUSR1, signal.SIG_DFL)
    print(f"   Python: a signal handler asked at {len(lines)} lines of the package")


def a_store_that_is_away_is_seen():
    records = []

    class Kept(logging.Handler):
        def emit(self, record):
            records.append((record.levelno, record.getMessage()))

    logger = logging.getLogger("shop.tokens")
    logger.addHandler(Kept())
    # A filter that fails ends no logging.
    said, fails = io.StringIO(), [True]
    logger.addFilter(lambda record: not fails or 1 // (fails.pop() - 1))
    logger.propagate = False
    logger.setLevel(logging.DEBUG)
    with tempfile.TemporaryDirectory() as place:
        store = pathlib.Path(place, "store")
        source = Source.from_env(Provider.SEND_PAYMENTS, store_directory=str(store))
        assert source.status()["store_error_age_ms"] == -1
        store.write_text("a file where the directory is to be")
        paytoken.log_to(logger, logging.WARNING)
        deadline = time.monotonic() + 60
        with contextlib.redirect_stderr(said):
            while not records and time.monotonic() < deadline:
                with contextlib.suppress(Error):
                    source.token(force=True)
                time.sleep(0.001)
        assert "ZeroDivisionError" in said.getvalue() and not fails
        assert records and records[0][0] == logging.WARNING and str(store) in records[0][1], records
        in_the_child = in_child(lambda: paytoken._Log.thread.is_alive())
        assert os.waitpid(in_the_child, 0)[1] == 0
        paytoken.log_to(None)
        paytoken._Log.thread.join()
    for wrong in (("a name",), (logger, "INFO")):
        assert failure(lambda: paytoken.log_to(*wrong)).code == Code.INVALID_ARGUMENT


def figures():
    source = Source.from_env(Provider.SEND_PAYMENTS)
    source.authorization()
    began = time.monotonic()
    for _ in range(50000):
        source.authorization()
    print(f"   Python: {50000 / (time.monotonic() - began):.0f} cached calls/s")


for test in (each_provider_gives_a_header, a_described_provider_gives_a_header, many_threads_and_tasks_share_a_request, a_renewal_makes_nobody_wait,
             a_wrong_secret_is_told_and_remembered, a_401_is_replayed_once, what_cannot_be_passed_on_is_an_error,
             forked_workers_have_sources_of_their_own,
             a_signal_handler_asks_too, a_store_that_is_away_is_seen, figures):
    control("POST", "/reset")
    test()
