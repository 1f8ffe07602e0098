"""What has to be there, what is built, and the versions of all that is measured."""

import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent
ROOT = HERE.parent.parent
# From the registry into an environment of their own, as rust/Cargo.toml names the peers in Rust.
PYTHON_PEERS = ["authlib==1.9.9", "requests==2.34.2"]


class Problem(Exception):
    """Something the user can mend."""


def say(what):
    print(f"peers: {what}", file=sys.stderr, flush=True)


def check_tools():
    """Names everything that is missing, with its Debian package."""
    wanted = {
        "cargo": "rustup, see the README",
        "cc": "gcc",
        "go": "golang-go",
        "curl": "curl",
        "jq": "jq",
        "sh": "dash",
        "true": "coreutils",
    }
    missing = [f"{tool} (package {package})" for tool, package in wanted.items() if not shutil.which(tool)]
    gopath = go_path()
    if gopath is None:
        missing.append("golang.org/x/oauth2 (package golang-golang-x-oauth2-dev)")
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError:
        missing.append("python3's venv (package python3-venv)")
    if missing:
        raise Problem("missing: " + "; ".join(missing))
    return gopath


def go_path():
    """Where golang.org/x/oauth2 lies: in GOPATH, or where Debian's package put it."""
    file = "/src/golang.org/x/oauth2/oauth2.go"
    for path in filter(None, os.environ.get("GOPATH", "").split(os.pathsep)):
        if Path(path + file).is_file():
            return path
    for line in output(["dpkg", "-L", "golang-golang-x-oauth2-dev"]).splitlines():
        if line.endswith(file):
            return line[: -len(file)]
    return None


def output(command, **options):
    """A command's output; nothing if it fails."""
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, **options)
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def must(what, command, **options):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)
    if done.returncode != 0:
        tail = "\n".join(done.stdout.splitlines()[-20:])
        raise Problem(f"{what} failed:\n{tail}")


class Built:
    """The programs to measure."""

    def __init__(self, gopath, scratch):
        target = Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target").resolve()
        peers = target / "peers"
        cargo = ["cargo", "build", "--quiet"]
        say("building the command")
        command = [*cargo, "--profile", "small", "--locked", "-p", "paytoken-cli", "--target-dir", target]
        must("the build of the command", command, cwd=ROOT)
        say("building the peers in Rust")
        # With the library's own versions of what both use. What the lock file lacks, cargo adds.
        shutil.copy(ROOT / "Cargo.lock", HERE / "rust" / "Cargo.lock")
        for options in (
            ["--release", "--bin", "token-server", "--bin", "cached", "--bin", "herd"],
            ["--profile", "command", "--bin", "measure", "--bin", "ureq-token", "--bin", "oauth2-token"],
        ):
            must("the build of the Rust peers", [*cargo, *options, "--target-dir", peers], cwd=HERE / "rust")
        say("building the peer in Go")
        self.go = scratch / "go-peer"
        environment = {**os.environ, "GO111MODULE": "off", "GOPATH": gopath, "GOFLAGS": "", "CGO_ENABLED": "0"}
        environment["GOCACHE"] = str(peers / "go-cache")
        must("the build of the Go peer", ["go", "build", "-o", self.go, "."], cwd=HERE / "go", env=environment)
        say("installing the peers in Python")
        must("python3 -m venv", [sys.executable, "-m", "venv", scratch / "venv"])
        self.python = scratch / "venv" / "bin" / "python"
        must("pip install", [self.python, "-m", "pip", "install", "--quiet", *PYTHON_PEERS])

        self.paytoken = target / "small" / "paytoken"
        self.server = peers / "release" / "token-server"
        self.cached = peers / "release" / "cached"
        self.herd = peers / "release" / "herd"
        self.measure = peers / "command" / "measure"
        self.ureq = peers / "command" / "ureq-token"
        self.oauth2 = peers / "command" / "oauth2-token"


def versions(built):
    """Name and version of everything measured."""
    locked = dict(re.findall(r'name = "([^"]+)"\nversion = "([^"]+)"', (HERE / "rust" / "Cargo.lock").read_text()))
    git = ["git", "--no-optional-locks", "-C", str(ROOT)]
    commit = output([*git, "rev-parse", "--short", "HEAD"]) or "unknown"
    if output([*git, "status", "--porcelain", "--untracked-files=no"]):
        commit += " with local changes"
    script = "import authlib, requests, platform, ssl; " + (
        "print(authlib.__version__, requests.__version__, platform.python_version(), ssl.OPENSSL_VERSION, sep='|')"
    )
    authlib, requests, python, openssl = output([built.python, "-c", script]).split("|")
    oauth2_go = output(["dpkg-query", "-W", "-f", "${Version}", "golang-golang-x-oauth2-dev"]) or "unknown"
    curl = output(["curl", "--version"]).split()
    return [
        ("paytoken", f"{locked['paytoken']} ({commit})"),
        ("rustc", output(["rustc", "--version"], cwd=ROOT).split()[1]),
        ("ureq", locked["ureq"]),
        ("rustls", locked["rustls"]),
        ("oauth2 crate", locked["oauth2"]),
        ("moka", locked["moka"]),
        ("Go", output(["go", "env", "GOVERSION"]).removeprefix("go")),
        ("golang.org/x/oauth2", oauth2_go),
        ("Python", f"{python} ({openssl})"),
        ("requests", requests),
        ("authlib", authlib),
        ("curl", f"{curl[1]} ({next((word for word in curl if 'SSL' in word), 'TLS library unknown')})"),
        ("jq", output(["jq", "--version"]).removeprefix("jq-")),
    ]


def machine():
    text = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    model = re.search(r"model name\s*:\s*(.+)", text)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{model.group(1) if model else platform.machine()}, {cores} cores, {platform.system()} {platform.release()}"
