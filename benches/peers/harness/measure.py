"""The three measurements, and the server that answers all peers. The peers take turns."""

import json
import os
import shlex
import shutil
import statistics
import subprocess
import urllib.request

from harness.build import HERE, Problem, say

TOKEN_PATH = "/api/auth/token"
THREADS = [1, 2, 8, 64]
HERD = 64
# Name, title, and the status that the provider answers with.
SITUATIONS = [
    ("renewal", "Renewal, the token still good", 200),
    ("ended", "The token has expired", 200),
    ("empty", "Nothing cached, the provider answers 500", 500),
]


class Service:
    """The token server, and the variables that lead a peer to it."""

    def __init__(self, built, scratch):
        directory = scratch / "server"
        directory.mkdir(mode=0o700)
        self.process = subprocess.Popen(
            [built.server, directory], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        url, self.control = self.process.stdout.readline().strip(), self.process.stdout.readline().strip()
        if not self.control:
            raise Problem("the token server ended before it served")
        home = scratch / "home"
        home.mkdir()
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "LANG": "C.UTF-8",
            "PAYTOKEN_CA": str(directory / "ca.pem"),
            "NTXPAY_BASE_URL": url,
            "NTXPAY_CLIENT_ID": "peer",
            "NTXPAY_CLIENT_SECRET": "not a real secret",
            "NTXPAY_CLIENT_CERT": str(directory / "client.cert.pem"),
            "NTXPAY_CLIENT_KEY": str(directory / "client.key.pem"),
        }

    def tell(self, path):
        # Loopback: no proxy from the environment.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(self.control + path, timeout=10) as answer:
            return answer.read().decode()

    def requests(self):
        return int(self.tell("/stats"))

    def end(self):
        # It serves until its stdin ends.
        self.process.communicate()


# -- Cached call -----------------------------------------------------------------------------------


def measure_cached(built, service, rounds, calls):
    """{peer: {threads: median ns per call}}; the peers take turns."""
    peer = HERE / "python" / "authlib_peer.py"
    few = max(calls // 50, 1000)
    peers = [
        ("paytoken", [built.cached, "paytoken"], calls, THREADS),
        ("moka", [built.cached, "moka"], calls, THREADS),
        ("Go x/oauth2", [built.go, "cached"], calls, THREADS),
        ("authlib", [built.python, peer, "cached"], few, [1, 2, 8]),
    ]
    service.tell("/set?delay=0&status=200&expires=3600")
    samples = {name: {} for name, *_ in peers}
    for number in range(rounds):
        say(f"cached call, round {number + 1} of {rounds}")
        for threads in THREADS:
            for name, command, count, allowed in peers:
                if threads in allowed:
                    words = run_peer([*command, threads, count], service.environment).split()
                    samples[name].setdefault(threads, []).append(int(words[0]) / int(words[1]))
    return {name: {threads: statistics.median(times) for threads, times in all_times.items()}
            for name, all_times in samples.items()}


def run_peer(command, environment):
    command = [str(word) for word in command]
    done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode != 0:
        raise Problem(f"{shlex.join(command[:3])} failed:\n{done.stderr}")
    return done.stdout


# -- Cold process ----------------------------------------------------------------------------------


def measure_cold(built, service, scratch, rounds):
    """{peer: [(milliseconds, KiB)]}, all rounds of each."""
    python = HERE / "python"
    environment = {**service.environment, "CURL_CONFIG": str(curl_config(scratch, service.environment))}
    curl = 'curl -sS -q -K "$CURL_CONFIG"'
    paytoken = [built.paytoken, "token", "ntx-pay"]
    warm, empty = scratch / "store", scratch / "empty-store"
    peers = [
        ("true", [shutil.which("true")]),
        ("paytoken, warm", [*paytoken, "--store", warm]),
        ("paytoken, cold", [*paytoken, "--no-store"]),
        ("paytoken, cold, empty store", [*paytoken, "--store", empty]),
        ("ureq by hand", [built.ureq]),
        ("oauth2 crate + ureq", [built.oauth2]),
        ("Go x/oauth2", [built.go, "token"]),
        ("curl", ["sh", "-c", f"exec {curl}"]),
        ("curl + jq", ["sh", "-c", f"{curl} | jq -r .access_token"]),
        ("Python requests", [built.python, python / "requests_token.py"]),
        ("authlib", [built.python, python / "authlib_peer.py", "token"]),
    ]
    service.tell("/set?delay=0&status=200&expires=3600")
    warm.mkdir(mode=0o700)
    run_peer([*paytoken, "--store", warm], environment)
    samples = {name: [] for name, _ in peers}
    # The first round fills the caches of the file system and of Python, and does not count.
    for number in range(rounds + 1):
        say(f"cold process, round {number} of {rounds}" if number else "cold process, warming up")
        for name, command in peers:
            if empty in command:
                shutil.rmtree(empty, ignore_errors=True)
                empty.mkdir(mode=0o700)
            before = service.requests()
            first, _, rest = run_peer([built.measure, *command], environment).partition("\n")
            took, memory, code = (int(word) for word in first.split())
            if code != 0 or (not rest.strip() and name != "true"):
                raise Problem(f"{name} got no token (exit code {code})")
            expected = 0 if name in ("true", "paytoken, warm") else 1
            if service.requests() - before != expected:
                raise Problem(f"{name} made {service.requests() - before} requests, not {expected}")
            if number:
                samples[name].append((took / 1e6, memory))
    return samples


def curl_config(scratch, variables):
    """What must not be on a command line, as curl's own settings."""
    settings = {
        "url": variables["NTXPAY_BASE_URL"] + TOKEN_PATH,
        "cacert": variables["PAYTOKEN_CA"],
        "cert": variables["NTXPAY_CLIENT_CERT"],
        "key": variables["NTXPAY_CLIENT_KEY"],
        "data": "grant_type=client_credentials",
        "user": f"{variables['NTXPAY_CLIENT_ID']}:{variables['NTXPAY_CLIENT_SECRET']}",
    }
    path = scratch / "curl.conf"
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        # A string of JSON is one of curl's, too.
        file.writelines(f"{option} = {json.dumps(value)}\n" for option, value in settings.items())
    return path


# -- Herd ------------------------------------------------------------------------------------------


def measure_herd(built, service, rounds, delay):
    """{situation: {peer: (requests, longest wait in ms, callers that waited, failed)}}, medians."""
    python = [built.python, HERE / "python" / "authlib_peer.py", "herd"]
    peers = [("paytoken", [built.herd]), ("Go x/oauth2", [built.go, "herd"]), ("authlib", python)]
    samples = {}
    for number in range(rounds):
        for situation, title, status in SITUATIONS:
            say(f"herd, round {number + 1} of {rounds}: {title}")
            for name, command in peers:
                sample = one_herd(service, [*command, situation, HERD], delay, status)
                samples.setdefault(situation, {}).setdefault(name, []).append(sample)
    return {situation: {name: [statistics.median(column) for column in zip(*rows)] for name, rows in all_rows.items()}
            for situation, all_rows in samples.items()}


def one_herd(service, command, delay, status):
    service.tell("/set?delay=0&status=200&expires=600")
    process = subprocess.Popen(
        [str(word) for word in command], env=service.environment, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )
    try:
        if process.stdout.readline() != "ready\n":
            raise Problem(f"{command[0]} failed:\n{process.communicate()[1]}")
        service.tell(f"/set?delay={delay}&status={status}")
        service.tell("/reset")
        answer, complaint = process.communicate("go\n", timeout=120)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        service.tell("/set?delay=0&status=200")
    if process.returncode != 0:
        raise Problem(f"{command[0]} failed:\n{complaint}")
    failed, *waits = (int(line) for line in answer.split())
    if len(waits) != HERD or (status == 200 and failed):
        raise Problem(f"{command[0]}: {failed} of {len(waits)} threads got no token")
    waited = sum(wait > delay * 1e6 / 2 for wait in waits)
    return service.requests(), max(waits) / 1e6, waited, failed
