"""paytoken for Python 3.9 and newer, by ctypes: tokens for payment providers' APIs.

    source = paytoken.Source.from_env(paytoken.Provider.SEND_PAYMENTS)       # one per account, shared by all threads
    status, accounts = source.call(lambda authorization: get_accounts(authorization))    # one replay of a 401
    header = await source.authorization_async()                              # the same token under asyncio
    acme = paytoken.describe({"name": "acme", ...})                          # any other provider

A call is answered from the cache where that is possible. Else it waits for a thread that fetches, one for all callers;
Ctrl-C, a timeout and a cancelled task end the wait, not the fetch, whose token is there for the next call.

After os.fork (gunicorn with preload, multiprocessing) a source goes on in the child, as a source of the child's own. Set
a store directory for Send Payments, where a new token ends the one before: all workers share one through it.

Python cannot wipe a str: the token's text stays in memory until that is used again. The library's copies are wiped.
"""
import asyncio
import concurrent.futures
import ctypes
import enum
import json
import os
import threading
import warnings
import weakref


class Provider(enum.IntEnum):
    NTX_PAY = 1
    NEXTER_PAY = 2
    SEND_PAYMENTS = 3


def describe(description):
    """Any other provider, by its description: a dict (or JSON text) with the keys of docs/describing-a-provider.md, and
    name. What this gives stands wherever a Provider does. The same description again gives the same; another one under a
    known name is an Error."""
    try:
        text = description if isinstance(description, str) else json.dumps(description)
    except (TypeError, ValueError, RecursionError):
        raise _invalid("description: has to be a dict of str, numbers, bool, lists and dicts, or JSON text") from None
    text, number = _text("description", text), ctypes.c_uint32()
    _checked(lambda error: _lib.paytoken_provider_describe(text, ctypes.byref(number), error))
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
    def _missing_(cls, value):
        return cls.OTHER


class Error(Exception):
    """Why a call failed: one sentence that ends with how to fix it, never a secret.

    code is a Code; http_status is the provider's, 0 where there was none; retry_after is in seconds, None where nobody
    said (asking earlier is answered at once, without a request); is_retryable is about getting a token, never about
    replaying a payment.
    """

    def __init__(self, message, code, http_status=0, retry_after=None, is_retryable=False):
        super().__init__(message)
        self.code = Code(code)
        self.http_status = http_status
        self.retry_after = retry_after
        self.is_retryable = is_retryable

    def __reduce__(self):  # for process pools, which pickle errors
        return (Error, (str(self), int(self.code), self.http_status, self.retry_after, self.is_retryable))


class Source:
    """Gives tokens, to any thread and any event loop.

    Settings are named as in paytoken.h, paytoken_config_set_...: client_id="...", client_secret="...",
    certificate_pem=b"...", timeout_ms=5000, store_directory="/var/lib/shop/paytoken". What a described provider asks for
    besides is in values={"shop": "7", "api_key": "..."}.
    """

    def __init__(self, provider, environment, **settings):
        self._open(provider, _lib.paytoken_config_new(provider, environment), settings)

    @classmethod
    def from_env(cls, provider, **settings):
        """From the environment, as the paytoken command reads it; settings given here count instead."""
        config = ctypes.c_void_p()
        _checked(lambda error: _lib.paytoken_config_from_env(provider, ctypes.byref(config), error))
        source = cls.__new__(cls)
        source._open(provider, config.value, settings)
        return source

    def authorization(self, min_validity=0.0, timeout=None, force=False):
        """An Authorization header's value that is good now and for min_validity seconds more. timeout, in seconds, is the
        longest that this call waits; force asks for a new token in any case."""
        flight = self._cached(min_validity, force) or self._flight(min_validity, force)
        if isinstance(flight, str):
            return flight
        try:
            return flight.result(timeout)
        except concurrent.futures.TimeoutError:
            raise Error("no token within timeout; allow more time, or ask again", Code.TIMEOUT, 0, None, True) from None

    async def authorization_async(self, min_validity=0.0, force=False):
        """The same for asyncio: the event loop goes on meanwhile."""
        flight = self._cached(min_validity, force) or self._flight(min_validity, force)
        return flight if isinstance(flight, str) else await asyncio.wrap_future(flight)

    def token(self, min_validity=0.0, timeout=None, force=False):
        """The token alone."""
        return self.authorization(min_validity, timeout, force).split(" ")[-1]

    def invalidate(self, rejected):
        """The API answered 401 to this token, with or without "Bearer "."""
        text = _text("rejected", rejected)
        with self._lock:
            # Who asks from now on does not get what a flight of before brings.
            self._flights.clear()
        self._use(lambda source: _checked(lambda error: _lib.paytoken_source_invalidate_with(source, text, None, error)))

    def call(self, send, min_validity=0.0, timeout=None):
        """Sends a request by send(authorization), which returns (HTTP status, answer); and where the status is 401, drops
        that very token and sends it once more, never twice. A payment that ended in a time-out or a 5xx is not replayed."""
        authorization = self.authorization(min_validity, timeout)
        status, answer = send(authorization)
        if not _is_rejected(status):
            return status, answer
        self._drop(authorization)
        return send(self.authorization(min_validity, timeout))

    async def call_async(self, send, min_validity=0.0):
        """The same with a coroutine function."""
        authorization = await self.authorization_async(min_validity)
        status, answer = await send(authorization)
        if not _is_rejected(status):
            return status, answer
        await asyncio.to_thread(self._drop, authorization)  # with a store, it may wait for another process
        return await send(await self.authorization_async(min_validity))

    def status(self):
        """paytoken_status as a dict: counters, and times in milliseconds, -1 where there is none."""
        status = _Status(size=ctypes.sizeof(_Status))
        self._use(lambda source: _expect("status", _lib.paytoken_source_status(source, ctypes.byref(status))))
        names = (name for name, _ in _Status._fields_ if name != "size")
        return {name: getattr(status, name) for name in names}

    def close(self):
        """Wipes and frees once no thread uses it any more, and waits for a renewal that is under way. A later use is an
        Error."""
        self._handle = self._config = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def __reduce__(self):
        raise TypeError("a paytoken.Source cannot be pickled: it holds secrets; make one in each process")

    # ---- Inside ----

    def _open(self, provider, config, settings):
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

    def _make(self):
        made = ctypes.c_void_p()
        config = self._config
        if config is None:
            raise _closed()
        _checked(lambda error: _lib.paytoken_source_new(config.pointer, ctypes.byref(made), error))
        return _Handle(made.value, _lib.paytoken_source_free)

    def _after_fork(self):
        # The parent's flights are not in this process, and another thread may have held the lock.
        self._lock = threading.Lock()
        self._flights = {}

    def _use(self, call):
        """Runs a call of the library's; in the child of a fork, with a source of its own."""
        handle = self._handle  # which lives until this function ends, whoever closes the source meanwhile
        if handle is None:
            raise _closed()
        try:
            return call(handle.pointer)
        except Error as error:
            if error.code != Code.FORKED:
                raise
        with self._lock:
            if self._handle is handle:
                self._handle = self._make()
        return self._use(call)

    def _cached(self, min_validity, force):
        if force:
            return None
        try:
            return self._use(lambda source: _fetch(source, min_validity, _CACHED_ONLY))
        except Error as error:
            if error.code != Code.TIMEOUT:
                raise
            return None

    def _flight(self, min_validity, force):
        """The fetch under way for such a token, or a new one, on a thread of its own."""
        key = (min_validity, force)
        with self._lock:
            flight = self._flights.get(key)
            if flight is None:
                flight = concurrent.futures.Future()
                flight.set_running_or_notify_cancel()  # who leaves cannot cancel it for the others
                threading.Thread(target=self._fly, args=(key, flight), name="paytoken", daemon=True).start()
                self._flights[key] = flight
            return flight

    def _fly(self, key, flight):
        min_validity, force = key
        result, failure = None, None
        try:
            result = self._use(lambda source: _fetch(source, min_validity, _FORCE if force else 0))
        except BaseException as error:
            failure = error
        with self._lock:
            if self._flights.get(key) is flight:
                del self._flights[key]
        if failure is None:
            flight.set_result(result)
        else:
            flight.set_exception(failure)

    def _drop(self, authorization):
        try:
            self.invalidate(authorization)
        except Error as error:
            # Here it is dropped in any case. That other processes were not told does not change the answer.
            if error.code != Code.STORE:
                raise
            warnings.warn(f"paytoken: {error}")


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
    ]


class _Handle:
    """An object of the library's, freed when the last who uses it lets go."""

    def __init__(self, pointer, free):
        self.pointer = pointer
        self._free = free

    def __del__(self):
        self._free(self.pointer)


def _load():
    lib = ctypes.CDLL(os.environ.get("PAYTOKEN_LIBRARY", "libpaytoken.so.0"))
    pointer, text, size = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t
    u32, u64, i32, i64 = ctypes.c_uint32, ctypes.c_uint64, ctypes.c_int32, ctypes.c_int64
    functions = {
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
    }
    for kind, names in _SETTINGS.items():
        arguments = {"text": (text,), "bytes": (text, size), "switch": (i32,), "milliseconds": (u64,), "count": (u32,), "mark": ()}
        functions.update({f"config_set_{name}": (i32, pointer, *arguments[kind]) for name in names})
    for name, (result, *arguments) in functions.items():
        function = getattr(lib, f"paytoken_{name}")
        function.restype, function.argtypes = result, arguments
    return lib


_FORCE, _CACHED_ONLY, _AUTHORIZATION, _IF_TOKENS_COEXIST = 1, 2, 4, 2
_SETTINGS = {
    "text": ("client_id", "client_secret", "base_url", "user_agent", "proxy", "store_directory", "store_url",
             "store_key_file", "accept_unsealed", "store_ca_file", "store_certificate_file", "store_private_key_file"),
    "bytes": ("certificate_pem", "private_key_pem", "root_certificates_pem"),
    "switch": ("renew_in_background",),
    "mark": ("certificate_injected_by_proxy",),
    "milliseconds": ("timeout_ms", "connect_timeout_ms"),
    "count": ("retries",),
}
_KINDS = {name: kind for kind, names in _SETTINGS.items() for name in names}
_lib = _load()
_sources = weakref.WeakSet()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=lambda: [source._after_fork() for source in list(_sources)])


def _fetch(source, min_validity, flags):
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


def _checked(call):
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


def _expect(what, code):
    if code != Code.OK:
        raise Error(f"{what}: PAYTOKEN_{Code(code).name}", code)


def _is_rejected(status):
    if not isinstance(status, int):
        raise TypeError("call: the function has to return (HTTP status as int, answer)")
    return status == 401


def _invalid(message):
    return Error(message, Code.INVALID_ARGUMENT)


def _closed():
    return Error("the source is closed; make another one", Code.NULL_ARGUMENT)


def _milliseconds(seconds):
    if not 0 <= seconds < 2**53:
        raise _invalid("min_validity: has to be 0 or more, in seconds")
    return int(seconds * 1000)


def _text(name, value):
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


def _set(config, name, value):
    if name == "values":
        if not hasattr(value, "items"):
            raise _invalid("values: has to be a dict")
        for own, text in value.items():
            _accepted(config, _lib.paytoken_config_set_value(config, _text("values", own), _text(own, text)))
        return
    kind = _KINDS.get(name)
    if kind is None:
        raise _invalid(f"{name}: there is no such setting; see paytoken_config_set_... in paytoken.h")
    types = {"text": str, "bytes": bytes, "switch": bool, "mark": bool}.get(kind, int)
    if not isinstance(value, types) or (types is int and (isinstance(value, bool) or not 0 <= value < 2**32)):
        raise _invalid(f"{name}: has to be {types.__name__}" + (", from 0 to 4294967295" if types is int else ""))
    if kind == "mark" and not value:
        return
    arguments = {"text": lambda: (_text(name, value),), "bytes": lambda: (value, len(value)), "mark": lambda: ()}
    given = arguments.get(kind, lambda: (value,))()
    _accepted(config, getattr(_lib, f"paytoken_config_set_{name}")(config, *given))


def _accepted(config, code):
    if code != Code.OK:
        raise Error(_lib.paytoken_config_error_message(config).decode(), code)
