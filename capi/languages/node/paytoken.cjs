/**
 * paytoken for Node.js 18 and newer, by koffi: tokens for payment providers' APIs.
 *
 *     const { Source, describe, logTo } = require('paytoken');      // or import
 *     const source = Source.fromEnv('send-payments');              // one per account, for the whole process
 *     const answer = await source.call((authorization) => fetch(url, { headers: { authorization } }));
 *     logTo(console);                                              // or a logger with error, warn, info and debug
 *     const acme = describe({ name: 'acme', ... });                // any other provider
 *
 * A call is answered from the cache where that is possible, which takes microseconds. Else it waits for one fetch, shared
 * by all who ask, on a worker thread of this module's own: the event loop goes on, and so do DNS and files, whose threads
 * it does not use. At most four sources fetch at once; others queue. An AbortSignal ends the wait, not the fetch, whose
 * token is there for the next call. process.exit waits for a fetch under way, at most timeout_ms.
 *
 * With node:cluster, and in worker threads, each has a source of its own: share the token by a store directory.
 * A bundler has to leave this package out (esbuild: --external:paytoken), since its worker and the C library are files.
 * JavaScript cannot wipe a string: the token's text stays in memory until that is used again.
 */
'use strict';

const fs = require('node:fs');
const path = require('node:path');
const { Worker, parentPort, workerData } = require('node:worker_threads');
const koffi = require('koffi');

// A file of its own. In a bundle there is none, and the bundle itself must not be started a second time.
const WORKER = path.join(__dirname, 'paytoken-worker.cjs');
if (!fs.existsSync(WORKER)) {
  throw new Error(`paytoken cannot run inside a bundle, where ${WORKER} is missing: leave it out (esbuild: --external:paytoken; webpack and rollup: externals)`);
}

const PROVIDERS = { 'ntx-pay': 1, 'nexter-pay': 2, 'send-payments': 3 };
const ENVIRONMENTS = { sandbox: 1, production: 2 };
const OK = 0, TIMEOUT = 4, STORE = 10, CLOSED = 100, BUFFER_TOO_SMALL = 101, INVALID_ARGUMENT = 103;
const FORCE = 1, CACHED_ONLY = 2, AUTHORIZATION = 4, IF_TOKENS_COEXIST = 2;

/** Why a call failed: a sentence that ends with how to fix it, never a secret. */
class PaytokenError extends Error {
  /**
   * @param {string} message
   * @param {number} number of paytoken.h; `code` is its name, such as 'PAYTOKEN_REJECTED'
   * @param {{httpStatus?: number, retryAfter?: number | null, isRetryable?: boolean}} details the provider's status (0:
   *   none); how many milliseconds to wait, since asking earlier is answered without a request (null: nobody said); and
   *   whether getting a token may succeed later, which says nothing about replaying a payment
   */
  constructor(message, number, { httpStatus = 0, retryAfter = null, isRetryable = false } = {}) {
    super(message);
    this.name = 'PaytokenError';
    this.code = c.codeName(number);
    Object.assign(this, { number, httpStatus, retryAfter, isRetryable });
  }
}

/** A provider that was described: see `describe`. */
class Described {
  constructor(number) {
    this.number = number; // as Source.status tells it
    Object.freeze(this);
  }
}

/**
 * Any other provider, by its description: an object (or JSON text) with the keys of docs/describing-a-provider.md, and
 * name. What this gives stands wherever a provider's name does. The same description again gives the same; another one
 * under a known name is an error.
 * @param {object | string} description
 * @returns {Described}
 */
function describe(description) {
  let text = description;
  try {
    if (typeof text !== 'string') text = JSON.stringify(text);
  } catch {
    text = undefined;
  }
  if (typeof text !== 'string') throw invalid('description', 'has to be an object that JSON can hold, or JSON text');
  const number = Buffer.alloc(4);
  withText('description', text, (json) => checked((error) => c.providerDescribe(json, number, error)));
  return new Described(koffi.decode(number, 'uint32_t'));
}

class Source {
  #pointer;
  #users = 0; // fetches under way: the last one frees what was closed meanwhile
  #isClosed = false;
  #flights = new Map();

  /**
   * @param {'ntx-pay' | 'nexter-pay' | 'send-payments' | Described} provider
   * @param {'sandbox' | 'production'} environment
   * @param {Record<string, string | number | boolean | Uint8Array | Record<string, string>>} settings named as in paytoken.h,
   *   paytoken_config_set_...: { client_id, client_secret, certificate_pem, timeout_ms, store_directory, ... }; what a
   *   described provider asks for besides is in { values: { shop: '7', api_key: '...' } }
   */
  constructor(provider, environment, settings = {}) {
    const config = environment instanceof FromEnv
      ? environment.config
      : c.configNew(numberOfProvider(provider), numberOf(ENVIRONMENTS, environment, 'environment'));
    try {
      // Calls look into the cache first, so none of them renews: the library has to.
      c.setters.renew_in_background(config, IF_TOKENS_COEXIST);
      for (const [name, value] of Object.entries(settings)) set(config, name, value);
      const made = [null];
      checked((error) => c.sourceNew(config, made, error));
      this.#pointer = made[0];
    } finally {
      c.configFree(config);
    }
    forgotten.register(this, this.#pointer, this);
    // A thread's start holds the event loop for some 20 ms: better now than when a request waits.
    if (workers === 0) idle.push(started());
  }

  /** From the environment, as the paytoken command reads it; settings given here count instead. */
  static fromEnv(provider, settings = {}) {
    const made = [null];
    checked((error) => c.configFromEnv(numberOfProvider(provider), made, error));
    return new Source(provider, new FromEnv(made[0]), settings);
  }

  /**
   * The value of an Authorization header.
   * @param {{minValidity?: number, force?: boolean, signal?: AbortSignal}} terms how many milliseconds it has to be good;
   *   whether to ask for a new token in any case; what ends the wait
   * @returns {Promise<string>}
   */
  async authorization({ minValidity = 0, force = false, signal } = {}) {
    signal?.throwIfAborted();
    if (!Number.isSafeInteger(minValidity) || minValidity < 0) {
      throw invalid('minValidity', 'has to be a whole number, 0 or more, of milliseconds');
    }
    const key = `fetch ${minValidity} ${force}`;
    // Who comes while a fetch is under way does not look: what is not there costs an error object each time.
    if (!force && !this.#flights.has(key)) {
      try {
        return fetchToken(this.#open(), minValidity, CACHED_ONLY);
      } catch (error) {
        if (error.number !== TIMEOUT) throw error;
      }
    }
    const flight = this.#flights.get(key) ?? this.#fly(key, { call: 'fetch', minValidity, flags: force ? FORCE : 0 });
    return unlessAborted(flight, signal);
  }

  /** The token alone. */
  async token(terms) {
    return (await this.authorization(terms)).split(' ').pop();
  }

  /** The API answered 401 to this token, with or without "Bearer ". With a store it may wait for another process. */
  async invalidate(rejected) {
    withText('rejected', rejected, () => {});
    const key = `invalidate ${rejected}`;
    const known = this.#flights.get(key);
    if (known) return known;
    // Who asks from now on does not get what a flight of before brings.
    this.#flights.clear();
    return this.#fly(key, { call: 'invalidate', rejected });
  }

  /**
   * Sends a request by send(authorization), whose answer has a status; and where that is 401, drops that very token and
   * sends it once more, never twice. A payment that ended in a time-out or a 5xx is not replayed.
   * @template {{status: number}} T
   * @param {(authorization: string) => Promise<T> | T} send
   * @returns {Promise<T>}
   */
  async call(send, terms = {}) {
    const authorization = await this.authorization(terms);
    const answer = await send(authorization);
    if (typeof answer?.status !== 'number') throw new TypeError('call: the answer has to have a status, a number');
    if (answer.status !== 401) return answer;
    try {
      await this.invalidate(authorization);
    } catch (error) {
      // Here it is dropped in any case. That other processes were not told does not change the answer.
      if (error.number !== STORE) throw error;
      process.emitWarning(error);
    }
    return send(await this.authorization({ ...terms, force: false }));
  }

  /** paytoken_status: counters, and times in milliseconds, -1 where there is none. */
  status() {
    const status = { size: koffi.sizeof(Status), store_error_age_ms: -1 };
    for (const name of Object.keys(STATUS)) status[name] ??= 0;
    expect('status', c.sourceStatus(this.#open(), status));
    const { size, ...members } = status;
    return members;
  }

  /** Wipes and frees, once no fetch uses it any more. A later use is an error. */
  close() {
    if (this.#isClosed) return;
    this.#isClosed = true;
    forgotten.unregister(this);
    this.#freeUnused();
  }

  #open() {
    if (this.#isClosed) throw new PaytokenError('the source is closed; make another one', CLOSED);
    return this.#pointer;
  }

  #freeUnused() {
    if (!this.#isClosed || this.#users > 0) return;
    free(this.#pointer);
  }

  #fly(key, order) {
    const pointer = this.#open();
    this.#users++;
    const flight = onWorker({ pointer, ...order }).finally(() => {
      if (this.#flights.get(key) === flight) this.#flights.delete(key);
      this.#users--;
      this.#freeUnused();
    });
    flight.catch(() => {}); // all who wait may have left
    this.#flights.set(key, flight);
    return flight;
  }
}

// ---- Logging ----

const LEVELS = { error: 1, warn: 2, info: 3, debug: 4 };
let log;

/**
 * Sends the library's log records, of all sources, to an object such as console, which has a function for each level: error,
 * warn, info, debug. The event loop asks for them ten times a second, and once more at the end. Null ends it.
 */
function logTo(logger, { level = 'info' } = {}) {
  const number = logger === null ? 0 : numberOf(LEVELS, level, 'level');
  for (const name of Object.keys(LEVELS).slice(0, number)) {
    if (typeof logger?.[name] !== 'function') throw invalid('logger', `has to have a function ${name}, as console does, or be null`);
  }
  if (log) {
    log.passOn();
    clearInterval(log.timer);
    process.off('exit', log.passOn);
  }
  expect('logTo', c.setLogQueue(number, 1024));
  log = number === 0 ? undefined : { passOn: () => passOn(logger) };
  if (!log) return;
  log.timer = setInterval(log.passOn, 100).unref();
  process.on('exit', log.passOn);
}

function passOn(logger) {
  const length = Buffer.alloc(8), level = Buffer.alloc(4);
  for (let room = 2048; ;) {
    const buffer = Buffer.alloc(room);
    const number = c.logNext(buffer, room, length, level);
    const used = Number(length.readBigUInt64LE());
    if (number === BUFFER_TOO_SMALL) room = used + 1;
    else if (number !== OK || level.readUInt32LE() === 0) return;
    else {
      try {
        logger[Object.keys(LEVELS)[level.readUInt32LE() - 1]](`paytoken: ${buffer.toString('utf8', 0, used)}`);
      } catch (error) {
        process.emitWarning(`paytoken: the logger failed: ${error}`); // and no program ends of it
      }
    }
  }
}

class FromEnv {
  constructor(config) {
    this.config = config;
  }
}

function unlessAborted(flight, signal) {
  if (!signal) return flight;
  return new Promise((resolve, reject) => {
    const leave = () => reject(signal.reason);
    signal.addEventListener('abort', leave, { once: true });
    flight.then(resolve, reject).finally(() => signal.removeEventListener('abort', leave));
  });
}

// ---- Worker threads, for what may block ----

const MOST_WORKERS = 4;
const idle = [];
const waiting = [];
let workers = 0;

/** Runs an order of `serve` on a worker thread: an idle one, a new one, or the next that has time. */
function onWorker(order) {
  return new Promise((resolve, reject) => {
    waiting.push({ order, resolve, reject });
    assign();
  });
}

function assign() {
  if (waiting.length === 0) return;
  const worker = idle.pop() ?? (workers < MOST_WORKERS ? started() : undefined);
  if (!worker) return;
  worker.job = waiting.shift();
  worker.ref(); // the program lasts until the answer is there
  worker.postMessage(worker.job.order);
}

function started() {
  workers++;
  const worker = new Worker(WORKER, { workerData: 'paytoken fetches', execArgv: [] });
  worker.on('message', ({ value, failure }) => {
    const { job } = worker;
    worker.job = undefined;
    worker.unref();
    idle.push(worker);
    if (failure) job.reject(new PaytokenError(failure.message, failure.number, failure));
    else job.resolve(value);
    assign();
  });
  worker.on('error', (error) => worker.job?.reject(error));
  worker.unref();
  worker.on('exit', () => {
    workers--;
    if (idle.includes(worker)) idle.splice(idle.indexOf(worker), 1);
    worker.job?.reject(new Error('paytoken: the thread that fetched has ended'));
    assign();
  });
  return worker;
}

/** Waits for a renewal in the background, if one is under way. */
function free(pointer) {
  onWorker({ call: 'free', pointer }).catch(() => {});
}

function serve() {
  const calls = {
    fetch: ({ pointer, minValidity, flags }) => fetchToken(pointer, minValidity, flags),
    invalidate: ({ pointer, rejected }) => withText('rejected', rejected, (text) => {
      checked((error) => c.sourceInvalidate(pointer, text, null, error));
    }),
    free: ({ pointer }) => c.sourceFree(pointer),
  };
  parentPort.on('message', (order) => {
    try {
      parentPort.postMessage({ value: calls[order.call](order) });
    } catch ({ message, number, httpStatus, retryAfter, isRetryable }) {
      parentPort.postMessage({ failure: { message, number, httpStatus, retryAfter, isRetryable } });
    }
  });
}

// ---- The library, and its rules for arguments and errors ----

const OPTIONS = { size: 'uint32_t', flags: 'uint32_t', min_validity_ms: 'uint64_t', deadline_ms: 'uint64_t' };
const STATUS = {
  size: 'uint32_t', last_error_code: 'int32_t', provider: 'uint32_t', environment: 'uint32_t', requests: 'uint64_t', tokens: 'uint64_t',
  failures: 'uint64_t', invalidations: 'uint64_t', token_age_ms: 'int64_t', token_remaining_ms: 'int64_t',
  token_expires_at_ms: 'int64_t', blocked_for_ms: 'int64_t', last_error_age_ms: 'int64_t',
  certificate_not_after_ms: 'int64_t', store_error_age_ms: 'int64_t',
};
const Options = koffi.struct(OPTIONS);
const Status = koffi.struct(STATUS);
const KINDS = {
  client_id: 'text', client_secret: 'text', base_url: 'text', user_agent: 'text', proxy: 'text', store_directory: 'text',
  store_url: 'text', store_key_file: 'text', accept_unsealed: 'text', store_ca_file: 'text', store_certificate_file: 'text',
  store_private_key_file: 'text',
  certificate_pem: 'bytes', private_key_pem: 'bytes', root_certificates_pem: 'bytes',
  renew_in_background: 'switch', certificate_injected_by_proxy: 'mark',
  timeout_ms: 'number', connect_timeout_ms: 'number', retries: 'number',
};

const c = load();
const forgotten = new FinalizationRegistry(free);
if (workerData === 'paytoken fetches') serve();

function load() {
  const name = { win32: 'paytoken.dll', darwin: 'libpaytoken.0.dylib' }[process.platform] ?? 'libpaytoken.so.0';
  const inside = path.join(__dirname, 'natives', `${process.platform}-${process.arch}`, name);
  let library;
  try {
    library = koffi.load(fs.existsSync(inside) ? inside : process.env.PAYTOKEN_LIBRARY || name);
  } catch (error) {
    throw new Error(`paytoken's C library cannot be used: ${error.message}; it is ${inside}, else what PAYTOKEN_LIBRARY names, `
      + `else the system's ${name}: install a package that holds it, or set PAYTOKEN_LIBRARY`);
  }
  const out = koffi.out(koffi.pointer('void *'));
  const func = (name, result, ...types) => library.func(`paytoken_${name}`, result, types);
  const setters = {};
  for (const [name, kind] of Object.entries(KINDS)) {
    const number = name === 'retries' ? 'uint32_t' : 'uint64_t';
    const types = { text: ['void *'], bytes: ['void *', 'size_t'], switch: ['int32_t'], mark: [], number: [number] }[kind];
    setters[name] = func(`config_set_${name}`, 'int32_t', 'void *', ...types);
  }
  return {
    setters,
    setValue: func('config_set_value', 'int32_t', 'void *', 'void *', 'void *'),
    providerDescribe: func('provider_describe', 'int32_t', 'void *', 'void *', out),
    codeName: func('code_name', 'const char *', 'int32_t'),
    configNew: func('config_new', 'void *', 'uint32_t', 'uint32_t'),
    configFromEnv: func('config_from_env', 'int32_t', 'uint32_t', out, out),
    configErrorMessage: func('config_error_message', 'const char *', 'void *'),
    configFree: func('config_free', 'void', 'void *'),
    sourceNew: func('source_new', 'int32_t', 'void *', out, out),
    sourceTokenWith: func('source_token_with', 'int32_t', 'void *', koffi.pointer(Options), 'void *', 'size_t', 'void *', out),
    sourceInvalidate: func('source_invalidate_with', 'int32_t', 'void *', 'void *', 'void *', out),
    sourceStatus: func('source_status', 'int32_t', 'void *', koffi.inout(koffi.pointer(Status))),
    sourceFree: func('source_free', 'void', 'void *'),
    errorMessage: func('error_message', 'const char *', 'void *'),
    errorHttpStatus: func('error_http_status', 'int32_t', 'void *'),
    errorRetryAfter: func('error_retry_after_ms', 'int64_t', 'void *'),
    errorIsRetryable: func('error_is_retryable', 'int32_t', 'void *'),
    errorFree: func('error_free', 'void', 'void *'),
    setLogQueue: func('set_log_queue', 'int32_t', 'uint32_t', 'uint32_t'),
    logNext: func('log_next', 'int32_t', 'void *', 'size_t', 'void *', 'void *'),
  };
}

function fetchToken(source, minValidity, flags) {
  const options = {
    size: koffi.sizeof(Options), min_validity_ms: minValidity, deadline_ms: 0, flags: flags | AUTHORIZATION,
  };
  const length = Buffer.alloc(8); // a size_t
  for (let room = 8192; ; room = Number(length.readBigUInt64LE()) + 1) {
    const buffer = Buffer.allocUnsafeSlow(room);
    if (checked((error) => c.sourceTokenWith(source, options, buffer, room, length, error)) === OK) {
      const used = buffer.subarray(0, Number(length.readBigUInt64LE()));
      const token = used.toString('latin1');
      used.fill(0);
      return token;
    }
    options.flags &= ~FORCE; // the token is cached now; a second new one would be one too many
  }
}

/** Calls with a place for an error, and throws what is there afterwards. A buffer that is too small is no error. */
function checked(call) {
  const place = [null];
  const number = call(place);
  const [object] = place;
  if (!object) return number;
  const wait = Number(c.errorRetryAfter(object));
  const error = new PaytokenError(c.errorMessage(object), number, {
    httpStatus: c.errorHttpStatus(object),
    retryAfter: wait < 0 ? null : wait,
    isRetryable: c.errorIsRetryable(object) === 1,
  });
  c.errorFree(object);
  throw error;
}

function expect(what, number) {
  if (number !== OK) throw new PaytokenError(`${what}: ${c.codeName(number)}`, number);
}

function invalid(name, why) {
  return new PaytokenError(`${name}: ${why}`, INVALID_ARGUMENT);
}

function numberOf(known, name, what) {
  if (!Object.hasOwn(known, name)) throw invalid(what, `is none of ${Object.keys(known).join(', ')}`);
  return known[name];
}

function numberOfProvider(provider) {
  return provider instanceof Described ? provider.number : numberOf(PROVIDERS, provider, 'provider');
}

/** Hands on text as UTF-8 in memory that is wiped. C would cut it at a NUL, and lone surrogates would be replaced. */
function withText(name, value, use) {
  if (typeof value !== 'string') throw invalid(name, 'has to be a string');
  if (value.includes('\0')) throw invalid(name, 'has a NUL in it; take it out');
  if (/\p{Surrogate}/u.test(value)) throw invalid(name, 'is not Unicode text');
  const text = Buffer.from(`${value}\0`);
  try {
    use(text);
  } finally {
    text.fill(0);
  }
}

function set(config, name, value) {
  if (name === 'values') {
    if (typeof value !== 'object' || value === null) throw invalid(name, 'has to be an object');
    for (const [own, text] of Object.entries(value)) {
      withText(name, own, (its) => withText(own, text, (bytes) => accepted(config, c.setValue(config, its, bytes))));
    }
    return;
  }
  if (!Object.hasOwn(KINDS, name)) throw invalid(name, 'there is no such setting; see paytoken_config_set_... in paytoken.h');
  const run = (...values) => accepted(config, c.setters[name](config, ...values));
  switch (KINDS[name]) {
    case 'text':
      return withText(name, value, run);
    case 'bytes':
      if (!(value instanceof Uint8Array)) throw invalid(name, 'has to be a Buffer');
      return run(value, value.length);
    case 'number':
      if (!Number.isInteger(value) || value < 0 || value > 0xffffffff) throw invalid(name, 'has to be a whole number, 0 or more');
      return run(value);
    default:
      if (typeof value !== 'boolean') throw invalid(name, 'has to be true or false');
      if (KINDS[name] === 'switch') run(value ? 1 : 0);
      else if (value) run();
  }
}

function accepted(config, number) {
  if (number !== OK) throw new PaytokenError(c.configErrorMessage(config), number);
}

module.exports = { Source, PaytokenError, describe, logTo };
