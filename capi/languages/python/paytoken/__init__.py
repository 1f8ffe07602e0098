"""paytoken for Python 3.9 and newer, by ctypes: tokens for payment providers' APIs.

    source = paytoken.Source.from_env(paytoken.Provider.SEND_PAYMENTS)       # one per account, shared by all threads
    status, accounts = source.call(lambda authorization: get_accounts(authorization))    # one replay of a 401
    header = await source.authorization_async()                              # the same token under asyncio
    paytoken.log_to(logging.getLogger("paytoken"))
    acme = paytoken.describe({"name": "acme", ...})                          # any other provider

A call is answered from the cache where that is possible. Else it waits for a thread that fetches, one for all callers;
Ctrl-C, a timeout and a cancelled task end the wait, not the fetch, whose token is there for the next call. A signal handler
may ask, too.

Under gevent and eventlet the fetch has a real thread, and greenlets wait for it as they do for a socket, whether the source
was made before or after monkey.patch_all().

After os.fork (gunicorn with preload, Celery, multiprocessing) a source goes on in the child, as a source of the child's own.
Set a store directory for Send Payments, where a new token ends the one before: all workers share one through it.

Python cannot wipe a str: the token's text stays in memory until that is used again. The library's copies are wiped.
"""
from __future__ import annotations

import _thread
import asyncio
import atexit
import contextlib
import ctypes
import enum
import importlib.machinery
import importlib.util
import json
import logging
import math
import os
import socket
import sys
import threading
import time
import traceback
import types
import typing
import warnings
import weakref
from typing import Any, Awaitable, Callable, Generic, Mapping, TypeVar

if typing.TYPE_CHECKING:
    from typing_extensions import Unpack

T = TypeVar("T")


class Provider(enum.IntEnum):
    NTX_PAY = 1
    NEXTER_PAY = 2
    SEND_PAYMENTS = 3


def describe(description: Mapping[str, Any] | str) -> int:
    """Any other provider, by its description: a dict (or JSON text) with the keys of docs/describing-a-provider.md, and
    name. What this gives stands wherever a Provider does. The same description again gives the same; another one under a
    known name is an Error."""
    try:
        text = description if isinstance(description, str) else json.dumps(description)
    except (TypeError, ValueError, RecursionError):
        raise _invalid("description: has to be a dict of str, numbers, bool, lists and dicts, or JSON text") from None
    json_text, number = _text("description", text), ctypes.c_uint32()
    _checked(lambda error: _lib.paytoken_provider_describe(json_text, ctypes.byref(number), error))
    return number.value


class Environment(enum.IntEnum):
    SANDBOX = 1
    PRODUCTION = 2


class Code(enum.IntEnum):
    """PAYTOKEN_... of paytoken.h, where each is explained."""

    OK = 0
    CONFIGURATION = 1
    CERTIFICATE = 2
    TRANSPORT = 3
    TIMEOUT = 4
    REJECTED = 5
    FORBIDDEN = 6
    RATE_LIMITED = 7
    SERVER_UNAVAILABLE = 8
    INVALID_RESPONSE = 9
    STORE = 10
    OTHER = 99
    NULL_ARGUMENT = 100
    BUFFER_TOO_SMALL = 101
    PANIC = 102
    INVALID_ARGUMENT = 103
    FORKED = 104

    @classmethod
    def _missing_(cls, value: object) -> Code:
        return cls.OTHER


class Error(Exception):
    """Why a call failed: one sentence that ends with how to fix it, never a secret.

    code is a Code; http_status is the provider's, 0 where there was none; retry_after is in seconds, None where nobody
    said (asking earlier is answered at once, without a request); is_retryable is about getting a token, never about
    replaying a payment.
    """

    def __init__(self, message: str, code: int, http_status: int = 0, retry_after: float | None = None,
                 is_retryable: bool = False) -> None:
        super().__init__(message)
        self.code = Code(code)
        self.http_status = http_status
        self.retry_after = retry_after
        self.is_retryable = is_retryable

    def __reduce__(self) -> tuple[Any, ...]:  # for process pools, which pickle errors
        return (Error, (str(self), int(self.code), self.http_status, self.retry_after, self.is_retryable))


class Settings(typing.TypedDict, total=False):
    """What a source is told, named as in paytoken.h, paytoken_config_set_..., which explains each."""

    client_id: str
    client_secret: str
    values: Mapping[str, str]  # what a described provider asks for besides: {"shop": "7", "api_key": "..."}
    certificate_pem: bytes
    private_key_pem: bytes
    root_certificates_pem: bytes
    certificate_injected_by_proxy: bool
    base_url: str
    user_agent: str
    proxy: str
    timeout_ms: int
    connect_timeout_ms: int
    retries: int
    renew_in_background: bool
    store_directory: str
    store_url: str
    store_key_file: str
    accept_unsealed: str
    store_ca_file: str
    store_certificate_file: str
    store_private_key_file: str


class Source:
    """Gives tokens, to any thread, any event loop and any greenlet. Its settings are those of Settings."""

    _config: _Handle | None
    _handle: _Handle | None

    def __init__(self, provider: int, environment: int, **settings: Unpack[Settings]) -> None:
        self._open(provider, _lib.paytoken_config_new(provider, environment), settings)

    @classmethod
    def from_env(cls, provider: int, **settings: Unpack[Settings]) -> Source:
        """From the environment, as the paytoken command reads it; settings given here count instead."""
        config = ctypes.c_void_p()
        _checked(lambda error: _lib.paytoken_config_from_env(provider, ctypes.byref(config), error))
        source = cls.__new__(cls)
        source._open(provider, config.value, settings)
        return source

    def authorization(self, min_validity: float = 0.0, timeout: float | None = None, force: bool = False) -> str:
        """An Authorization header's value that is good now and for min_validity seconds more. timeout, in seconds, is the
        longest that this call waits; force asks for a new token in any case."""
        if timeout is not None and not timeout >= 0:
            raise _invalid("timeout: has to be 0 or more, in seconds, or None")
        return self._cached(min_validity, force) or self._flight(min_validity, force).wait(timeout)

    async def authorization_async(self, min_validity: float = 0.0, force: bool = False) -> str:
        """The same for asyncio: the event loop goes on meanwhile."""
        return self._cached(min_validity, force) or await self._flight(min_validity, force).landing()

    def token(self, min_validity: float = 0.0, timeout: float | None = None, force: bool = False) -> str:
        """The token alone."""
        return self.authorization(min_validity, timeout, force).split(" ")[-1]

    def invalidate(self, rejected: str) -> None:
        """The API answered 401 to this token, with or without "Bearer "."""
        self._invalidation(rejected).wait()

    def call(self, send: Callable[[str], tuple[int, T]], min_validity: float = 0.0,
             timeout: float | None = None) -> tuple[int, T]:
        """Sends a request by send(authorization), which returns (HTTP status, answer); and where the status is 401, drops
        that very token and sends it once more, never twice. A payment that ended in a time-out or a 5xx is not replayed."""
        authorization = self.authorization(min_validity, timeout)
        status, answer = send(authorization)
        if not _is_rejected(status):
            return status, answer
        with _despite_the_store():
            self.invalidate(authorization)
        return send(self.authorization(min_validity, timeout))

    async def call_async(self, send: Callable[[str], Awaitable[tuple[int, T]]],
                         min_validity: float = 0.0) -> tuple[int, T]:
        """The same with a coroutine function."""
        authorization = await self.authorization_async(min_validity)
        status, answer = await send(authorization)
        if not _is_rejected(status):
            return status, answer
        with _despite_the_store():
            await self._invalidation(authorization).landing()
        return await send(await self.authorization_async(min_validity))

    def status(self) -> dict[str, int]:
        """paytoken_status as a dict: counters, and times in milliseconds, -1 where there is none."""
        status = _Status(size=ctypes.sizeof(_Status), store_error_age_ms=-1)
        self._use(lambda source: _expect("status", _lib.paytoken_source_status(source, ctypes.byref(status))))
        names = (name for name, *_ in _Status._fields_ if name != "size")
        return {name: getattr(status, name) for name in names}

    def close(self) -> None:
        """Wipes and frees once no thread uses it any more, and waits for a renewal that is under way. A later use is an
        Error."""
        with self._exclusive:
            self._handle = self._config = None  # what others are using lives on until they have ended

    def __enter__(self) -> Source:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __reduce__(self) -> typing.NoReturn:
        raise TypeError("a paytoken.Source cannot be pickled: it holds secrets; make one in each process")

    # ---- Inside ----

    def _open(self, provider: int, config: int | None, settings: Settings) -> None:
        if not config:
            raise _invalid("provider, environment: one of them is not known; use Provider and Environment")
        self._config = _Handle(config, _lib.paytoken_config_free)
        # Calls look into the cache first, so none of them renews: the library has to.
        _lib.paytoken_config_set_renew_in_background(config, _IF_TOKENS_COEXIST)
        for name, value in settings.items():
            _set(config, name, value)
        self._handle = self._make()
        self._after_fork()
        _sources.add(self)

    def _make(self) -> _Handle:
        made = ctypes.c_void_p()
        config = self._config
        if config is None:
            raise _closed()
        _checked(lambda error: _lib.paytoken_source_new(config.pointer, ctypes.byref(made), error))
        return _Handle(made.value, _lib.paytoken_source_free)

    def _after_fork(self) -> None:
        # The parent's flights are not in this process, and another thread may have held the lock.
        self._exclusive = _real.RLock()
        self._flights: dict[tuple[float, bool], _Flight[str]] = {}

    def _use(self, call: Callable[[int | None], T], asked: _Handle | None = None) -> T:
        """Runs a call of the library's, with the handle that was there when it was asked for; in the child of a fork, with
        a source of its own."""
        handle = asked or self._handle  # which lives until this function ends, whoever closes the source meanwhile
        if handle is None:
            raise _closed()
        try:
            return call(handle.pointer)
        except Error as error:
            if error.code != Code.FORKED:
                raise
        with self._exclusive:
            if self._handle is handle:
                self._handle = self._make()
        return self._use(call)

    def _cached(self, min_validity: float, force: bool) -> str | None:
        # Who comes while a fetch is under way does not look: what is not there costs an error object each time.
        if force or (min_validity, force) in self._flights:
            return None
        try:
            return self._use(lambda source: _fetch(source, min_validity, _CACHED_ONLY))
        except Error as error:
            if error.code != Code.TIMEOUT:
                raise
            return None

    def _flight(self, min_validity: float, force: bool) -> _Flight[str]:
        """The fetch under way for such a token, or a new one."""
        flights, key, handle = self._flights, (min_validity, force), self._handle
        flight = flights.get(key) or flights.setdefault(key, _Flight(
            lambda: self._use(lambda source: _fetch(source, min_validity, _FORCE if force else 0), handle),
            lambda: flights.pop(key, None)))
        flight.start()
        return flight

    def _invalidation(self, rejected: str) -> _Flight[object]:
        """On a thread, too: with a store, it may wait for another process."""
        text = _text("rejected", rejected)
        # Who asks from now on does not get what a flight of before brings.
        self._flights = {}
        handle = self._handle
        flight = _Flight[object](lambda: self._use(lambda source: _checked(
            lambda error: _lib.paytoken_source_invalidate_with(source, text, None, error)), handle))
        flight.start()
        return flight


@contextlib.contextmanager
def _despite_the_store() -> typing.Iterator[None]:
    try:
        yield
    except Error as error:
        # Here the token is dropped in any case. That other processes were not told does not change the answer.
        if error.code != Code.STORE:
            raise
        warnings.warn(f"paytoken: {error}")


def log_to(logger: logging.Logger | None, level: int = logging.INFO) -> None:
    """Sends the library's log records, of all sources, to a logger, from a thread that asks for them ten times a second
    (under gevent and eventlet a greenlet: call it after patching). None ends it."""
    if logger is not None and not isinstance(logger, logging.Logger):
        raise _invalid("logger: has to be a logging.Logger or None")
    if not isinstance(level, int):
        raise _invalid("level: has to be a number of logging, such as logging.INFO")
    _Log.pass_on()
    # logging counts 10 for DEBUG to 40 for ERROR, the library 4 to 1.
    _expect("log_to", _lib.paytoken_set_log_queue(0 if logger is None else max(1, min(4, 5 - level // 10)), 1024))
    _Log.logger = logger
    _Log.go_on()


class _Log:
    logger: logging.Logger | None = None
    thread: threading.Thread | None = None

    @classmethod
    def go_on(cls) -> None:
        """Also in the child of a fork, where the thread is not."""
        if cls.logger is not None and not (cls.thread and cls.thread.is_alive()):
            cls.thread = threading.Thread(target=cls._run, name="paytoken log", daemon=True)
            cls.thread.start()

    @classmethod
    def _run(cls) -> None:
        while cls.logger is not None:
            cls.pass_on()
            time.sleep(0.1)

    @classmethod
    def pass_on(cls) -> None:
        logger, level, length, room = cls.logger, ctypes.c_uint32(), ctypes.c_size_t(), 2048
        while logger is not None:
            buffer = ctypes.create_string_buffer(room)
            code = _lib.paytoken_log_next(buffer, room, ctypes.byref(length), ctypes.byref(level))
            if code == Code.BUFFER_TOO_SMALL:
                room = length.value + 1
            elif code != Code.OK or level.value == 0:
                return
            else:
                try:
                    logger.log(10 * (5 - level.value), "%s", buffer.value.decode())
                except Exception:  # a filter's: told as logging tells of its handlers' errors, and the next record follows
                    if logging.raiseExceptions and sys.stderr:
                        traceback.print_exc()


# ---- Threads ----


def _real_threads() -> Any:
    """The module _thread as Python has it: threads and locks that no gevent or eventlet has replaced, whenever it did."""
    spec = importlib.machinery.BuiltinImporter.find_spec("_thread")
    assert spec and spec.loader
    patched = dict(vars(_thread))
    another = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(another)
    real = types.SimpleNamespace(**vars(another))
    vars(_thread).update(patched)  # up to Python 3.9 the other one is this very one
    return real


class _Flight(Generic[T]):
    """Work on a real thread, and who waits for it: threads, event loops, greenlets.

    It has no lock, since a signal handler may come in at any point and wait here itself. What it counts on instead is that
    each call of a list's or dict's method is one step.
    """

    _result: T

    def __init__(self, work: Callable[[], T], leave: Callable[[], object] = lambda: None) -> None:
        self._work, self._leave = work, leave
        self._turn = _real.allocate_lock()
        self._is_started = self._has_landed = False
        self._failure: BaseException | None = None
        self._waiters: list[Callable[[], object]] = []
        self._events: dict[int, threading.Event] = {}

    def start(self) -> None:
        """Whoever finds it not started does that, as a signal handler may, which its starter waits for. The first thread
        works, any other ends."""
        if not self._is_started:
            try:
                _real.start_new_thread(self._fly, ())
            except RuntimeError as error:
                self._fly(Error(f"no thread for the request: {error}; allow more threads", Code.OTHER, is_retryable=True))
            self._is_started = True

    def wait(self, timeout: float | None = None) -> T:
        limit = _real.TIMEOUT_MAX if timeout is None else min(timeout, _real.TIMEOUT_MAX)
        if isinstance(_thread.start_new_thread, types.BuiltinFunctionType):
            landed = _real.allocate_lock()
            landed.acquire()
            self._when_landed(landed.release)
            has_landed = landed.acquire(timeout=limit)
        else:
            has_landed = self._event().wait(None if timeout is None else limit)
        if not has_landed:
            raise Error("no token within timeout; allow more time, or ask again", Code.TIMEOUT, is_retryable=True)
        return self._outcome()

    async def landing(self) -> T:
        loop, landed = asyncio.get_running_loop(), asyncio.Event()

        def wake() -> None:
            with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile
                loop.call_soon_threadsafe(landed.set)

        self._when_landed(wake)
        await landed.wait()
        return self._outcome()

    def _outcome(self) -> T:
        if self._failure is not None:
            raise self._failure
        return self._result

    def _fly(self, failure: Error | None = None) -> None:
        if not self._turn.acquire(False):
            return
        try:
            if failure is not None:
                raise failure
            self._result = self._work()
        except BaseException as error:
            self._failure = error
        self._leave()
        self._has_landed = True
        self._wake()

    def _when_landed(self, wake: Callable[[], object]) -> None:
        """It is called once, by the thread that flew or, where that has just gone by, by this one."""
        self._waiters.append(wake)
        if self._has_landed:
            self._wake()

    def _wake(self) -> None:
        with contextlib.suppress(IndexError):
            while True:
                self._waiters.pop()()

    def _event(self) -> threading.Event:
        """For the greenlets of this thread, one of which watches a socket: another thread cannot wake a greenlet else."""
        event, thread = threading.Event(), _real.get_ident()
        if self._events.setdefault(thread, event) is event:
            _thread.start_new_thread(self._watch, (event,))
        return self._events[thread]

    def _watch(self, event: threading.Event) -> None:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            self._when_landed(lambda: theirs.send(b"."))
            ours.recv(1, socket.MSG_PEEK)  # what a forked child must not take away
        event.set()


# ---- The library, and its rules for arguments and errors ----


class _Options(ctypes.Structure):
    _fields_ = [
        ("size", ctypes.c_uint32),
        ("flags", ctypes.c_uint32),
        ("min_validity_ms", ctypes.c_uint64),
        ("deadline_ms", ctypes.c_uint64),
    ]


class _Status(ctypes.Structure):
    _fields_ = [
        ("size", ctypes.c_uint32),
        ("last_error_code", ctypes.c_int32),
        ("provider", ctypes.c_uint32),
        ("environment", ctypes.c_uint32),
        ("requests", ctypes.c_uint64),
        ("tokens", ctypes.c_uint64),
        ("failures", ctypes.c_uint64),
        ("invalidations", ctypes.c_uint64),
        ("token_age_ms", ctypes.c_int64),
        ("token_remaining_ms", ctypes.c_int64),
        ("token_expires_at_ms", ctypes.c_int64),
        ("blocked_for_ms", ctypes.c_int64),
        ("last_error_age_ms", ctypes.c_int64),
        ("certificate_not_after_ms", ctypes.c_int64),
        ("store_error_age_ms", ctypes.c_int64),
    ]


class _Handle:
    """An object of the library's, freed when the last who uses it lets go."""

    def __init__(self, pointer: int | None, free: Callable[[int | None], None]) -> None:
        self.pointer = pointer
        self._free = free

    def __del__(self) -> None:
        self._free(self.pointer)


def _load() -> ctypes.CDLL:
    name = {"win32": "paytoken.dll", "darwin": "libpaytoken.0.dylib"}.get(sys.platform, "libpaytoken.so.0")
    beside = os.path.join(os.path.dirname(os.path.abspath(__file__)), name)
    try:
        return _declare(ctypes.CDLL(beside if os.path.exists(beside) else os.environ.get("PAYTOKEN_LIBRARY") or name))
    except (OSError, AttributeError) as error:
        raise ImportError(f"paytoken's C library cannot be used: {error}; it is {beside}, else what PAYTOKEN_LIBRARY names, "
                          f"else the system's {name}: install a wheel that holds it, or set PAYTOKEN_LIBRARY") from None


def _declare(lib: ctypes.CDLL) -> ctypes.CDLL:
    pointer, text, size = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t
    u32, u64, i32, i64 = ctypes.c_uint32, ctypes.c_uint64, ctypes.c_int32, ctypes.c_int64
    functions: dict[str, tuple[Any, ...]] = {
        "provider_describe": (i32, text, pointer, pointer),
        "config_new": (pointer, u32, u32),
        "config_from_env": (i32, u32, pointer, pointer),
        "config_error_message": (text, pointer),
        "config_set_value": (i32, pointer, text, text),
        "config_free": (None, pointer),
        "source_new": (i32, pointer, pointer, pointer),
        "source_token_with": (i32, pointer, pointer, pointer, size, pointer, pointer),
        "source_invalidate_with": (i32, pointer, text, pointer, pointer),
        "source_status": (i32, pointer, pointer),
        "source_free": (None, pointer),
        "error_message": (text, pointer),
        "error_http_status": (i32, pointer),
        "error_retry_after_ms": (i64, pointer),
        "error_is_retryable": (i32, pointer),
        "error_free": (None, pointer),
        "set_log_queue": (i32, u32, u32),
        "log_next": (i32, pointer, size, pointer, pointer),
    }
    arguments = {str: (text,), bytes: (text, size), bool: (i32,), int: (u64,)}
    functions.update({f"config_set_{name}": (i32, pointer, *arguments[kind]) for name, kind in _KINDS.items() if kind in arguments})
    functions["config_set_retries"] = (i32, pointer, u32)
    functions["config_set_certificate_injected_by_proxy"] = (i32, pointer)
    for name, (result, *parameters) in functions.items():
        function = getattr(lib, f"paytoken_{name}")
        function.restype, function.argtypes = result, parameters
    return lib


_FORCE, _CACHED_ONLY, _AUTHORIZATION, _IF_TOKENS_COEXIST = 1, 2, 4, 2
_KINDS = typing.get_type_hints(Settings)
_real = _real_threads()
_lib = _load()
_sources: weakref.WeakSet[Source] = weakref.WeakSet()


def _after_fork() -> None:
    for source in list(_sources):
        source._after_fork()
    _Log.go_on()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
atexit.register(_Log.pass_on)


def _fetch(source: int | None, min_validity: float, flags: int) -> str:
    options = _Options(ctypes.sizeof(_Options), flags | _AUTHORIZATION, _milliseconds(min_validity), 0)
    length = ctypes.c_size_t(8191)
    while True:
        room = length.value + 1
        buffer = ctypes.create_string_buffer(room)
        code = _checked(
            lambda error: _lib.paytoken_source_token_with(
                source, ctypes.byref(options), buffer, room, ctypes.byref(length), error
            )
        )
        if code == Code.OK:
            token = ctypes.string_at(buffer, length.value).decode("ascii")
            ctypes.memset(buffer, 0, length.value)
            return token
        options.flags &= ~_FORCE  # the token is cached now; a second new one would be one too many


def _checked(call: Callable[[Any], int]) -> int:
    """Calls with a place for an error, and raises what is there afterwards. A buffer that is too small is no error."""
    place = ctypes.c_void_p()
    code = call(ctypes.byref(place))
    if not place:
        return code
    try:
        wait = _lib.paytoken_error_retry_after_ms(place)
        raise Error(
            _lib.paytoken_error_message(place).decode(),
            code,
            _lib.paytoken_error_http_status(place),
            None if wait < 0 else wait / 1000,
            _lib.paytoken_error_is_retryable(place) == 1,
        )
    finally:
        _lib.paytoken_error_free(place)


def _expect(what: str, code: int) -> None:
    if code != Code.OK:
        raise Error(f"{what}: PAYTOKEN_{Code(code).name}", code)


def _is_rejected(status: int) -> bool:
    if not isinstance(status, int):
        raise TypeError("call: the function has to return (HTTP status as int, answer)")
    return status == 401


def _invalid(message: str) -> Error:
    return Error(message, Code.INVALID_ARGUMENT)


def _closed() -> Error:
    return Error("the source is closed; make another one", Code.NULL_ARGUMENT)


def _milliseconds(seconds: float) -> int:
    if not 0 <= seconds < 2**53:
        raise _invalid("min_validity: has to be 0 or more, in seconds")
    return math.ceil(seconds * 1000)


def _text(name: str, value: object) -> bytes:
    """UTF-8 without a NUL, at which C would cut it in silence."""
    if not isinstance(value, str):
        raise _invalid(f"{name}: has to be a str")
    try:
        text = value.encode()
    except UnicodeEncodeError:
        raise _invalid(f"{name}: is not Unicode text") from None  # the cause would hold the value
    if b"\0" in text:
        raise _invalid(f"{name}: has a NUL in it; take it out")
    return text


def _set(config: int | None, name: str, value: Any) -> None:
    if name == "values":
        if not hasattr(value, "items"):
            raise _invalid("values: has to be a dict")
        for own, text in value.items():
            _accepted(config, _lib.paytoken_config_set_value(config, _text("values", own), _text(own, text)))
        return
    kind = _KINDS.get(name)
    if kind is None:
        raise _invalid(f"{name}: there is no such setting; see paytoken_config_set_... in paytoken.h")
    if not isinstance(value, kind) or (kind is int and (isinstance(value, bool) or not 0 <= value < 2**32)):
        raise _invalid(f"{name}: has to be {kind.__name__}" + (", from 0 to 4294967295" if kind is int else ""))
    arguments = [_text(name, value)] if kind is str else [value, len(value)] if kind is bytes else [value]
    if name == "certificate_injected_by_proxy":
        if not value:
            return
        arguments = []
    _accepted(config, getattr(_lib, f"paytoken_config_set_{name}")(config, *arguments))


def _accepted(config: int | None, code: int) -> None:
    if code != Code.OK:
        raise Error(_lib.paytoken_config_error_message(config).decode(), code)
