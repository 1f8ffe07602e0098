// The package against the sandbox: run by capi/languages/run.
'use strict';

const assert = require('node:assert/strict');
const fs = require('node:fs');
const https = require('node:https');
const os = require('node:os');
const path = require('node:path');
const { monitorEventLoopDelay } = require('node:perf_hooks');
const util = require('node:util');
const { Source, PaytokenError, describe, logTo } = require('paytoken');

const ca = fs.readFileSync(process.env.PAYTOKEN_CA);
const threads = () => fs.readdirSync('/proc/self/task').length;
const resident = () => Number(fs.readFileSync('/proc/self/statm', 'utf8').split(' ')[1]) * 4;

async function control(method, path) {
  const answer = await fetch(process.env.PAYTOKEN_SANDBOX_CONTROL + path, { method });
  assert.equal(answer.status, 200);
  return answer.text();
}

const stats = async (service = 'send-payments') => JSON.parse(await control('GET', '/stats'))[service];

/** A call of the API: what a program would do. */
function accounts(authorization) {
  return new Promise((resolve, reject) => {
    const url = `${process.env.SENDPAYMENTS_BASE_URL}/accounts`;
    const request = https.get(url, { ca, headers: { authorization }, agent: false }, (answer) => {
      answer.resume().on('end', () => resolve({ status: answer.statusCode }));
    });
    request.on('error', reject);
  });
}

async function failure(call) {
  try {
    await call();
  } catch (error) {
    if (error instanceof PaytokenError) return error;
    throw error;
  }
  throw new Error('this was to fail');
}

async function eachProviderGivesAHeader() {
  for (const provider of ['ntx-pay', 'nexter-pay', 'send-payments']) {
    const source = Source.fromEnv(provider);
    const header = await source.authorization();
    assert.equal(header, `Bearer ${await source.token({ minValidity: 1000 })}`);
    assert.equal(source.status().requests, 1);
    await source.token({ force: true });
    assert.equal(source.status().requests, 2);
    source.close();
  }
  const file = (name) => fs.readFileSync(process.env[name]);
  const byHand = new Source('ntx-pay', 'sandbox', {
    client_id: process.env.NTXPAY_CLIENT_ID, client_secret: process.env.NTXPAY_CLIENT_SECRET,
    certificate_pem: file('NTXPAY_CLIENT_CERT'), private_key_pem: file('NTXPAY_CLIENT_KEY'), root_certificates_pem: ca,
    base_url: process.env.NTXPAY_BASE_URL, timeout_ms: 5000, retries: 1, renew_in_background: false,
  });
  assert.match(await byHand.authorization(), /^Bearer ./);
}

async function aDescribedProviderGivesAHeader() {
  const played = {
    name: 'played', token_endpoint: '/auth', auth: 'none', body: 'json', renewal: 'replaces-previous',
    fields: { clientId: '{shop}', clientSecret: '{api_key}' }, identity: ['shop'], secrets: ['api_key'],
    token: '/accessToken', expires_at: '/expiresAt',
  };
  const values = { shop: process.env.SENDPAYMENTS_CLIENT_ID, api_key: process.env.SENDPAYMENTS_CLIENT_SECRET };
  const terms = { base_url: process.env.SENDPAYMENTS_BASE_URL, root_certificates_pem: ca, values };
  const its = describe(played);
  const source = new Source(its, 'sandbox', terms);
  assert.equal((await source.call(accounts)).status, 200);
  assert.equal(await source.authorization(), `Bearer ${await source.token()}`);
  assert.equal(source.status().provider, its.number);
  assert.equal(describe(JSON.stringify(played, null, 1)).number, its.number);
  const other = new Source(describe({ ...played, name: 'other', renewal: 'coexists', prefix: 'Token' }), 'sandbox', terms);
  assert.equal(await other.authorization(), `Token ${await other.token()}`);
  const bare = new Source(describe({ ...played, name: 'bare', prefix: '' }), 'sandbox', terms);
  assert.equal(await bare.authorization(), await bare.token());
  const secret = 'not-a-real-secret', key = secret;
  const acme = describe({
    name: 'acme', token_endpoint: 'https://auth.acme.example/oauth2/token',
    auth: 'client_secret_basic', renewal: 'coexists',
    headers: { 'x-api-key': '{api_key}' }, secrets: ['api_key'],
  });
  {
    const source = new Source(acme, 'production', {
      client_id: 'merchant-7', client_secret: secret, values: { api_key: key },
    });
    assert.equal(source.status().provider, acme.number);
  }
  const circular = {};
  circular.name = circular;
  for (const [wrong, code, says] of [
    [{}, 'CONFIGURATION', 'name: not set'], ['{', 'CONFIGURATION', 'not JSON'], [{ ...played, renewal: 'coexists' }, 'CONFIGURATION', 'otherwise'],
    [{ ...played, name: 'new', sekrets: [] }, 'CONFIGURATION', 'secrets'], [[], 'CONFIGURATION', 'JSON object'],
    [undefined, 'INVALID_ARGUMENT', 'JSON'], [{ name: 1n }, 'INVALID_ARGUMENT', 'JSON'], [circular, 'INVALID_ARGUMENT', 'JSON'],
    ['{}\0', 'INVALID_ARGUMENT', 'NUL'], ['\ud800', 'INVALID_ARGUMENT', 'Unicode'],
  ]) {
    const error = await failure(() => describe(wrong));
    assert.ok(error.code === `PAYTOKEN_${code}` && error.message.includes(says), error.message);
  }
  for (const [wrong, says] of [
    [{ shopp: '7' }, 'shopp: not known for played; it takes shop, api_key'], [{ 'a-key-of-mine': 'api_key' }, 'name: '],
    [{ shop: 7 }, 'shop: has to be a string'], ['shop', 'values: '], [null, 'values: '], [{ shop: 'a\0b' }, 'shop: '],
  ]) {
    const error = await failure(() => new Source(its, 'sandbox', { ...terms, values: wrong }));
    assert.ok(error.code === 'PAYTOKEN_INVALID_ARGUMENT' && error.message.startsWith(says), error.message);
  }
}

async function fiveHundredCallsShareARequestAndHoldNothing() {
  // Held until this very loop lets the request go.
  await control('POST', '/send-payments/hold');
  const source = Source.fromEnv('send-payments');
  const loop = monitorEventLoopDelay({ resolution: 1 });
  await new Promise((resolve) => setTimeout(resolve, 50)); // the monitor's own start
  loop.enable();
  const abort = new AbortController();
  const leaving = source.authorization({ signal: abort.signal });
  const calls = Array.from({ length: 500 }, () => source.authorization());
  const began = performance.now();
  setImmediate(() => abort.abort());
  await assert.rejects(leaving, { name: 'AbortError' });
  const left = performance.now() - began;
  assert.equal((await stats()).tokens_issued, 0);
  await control('POST', '/send-payments/release');
  const headers = new Set(await Promise.all(calls));
  loop.disable();
  const pause = loop.max / 1e6;
  console.log(`   Node: 500 calls on an empty cache: 1 request, longest pause ${pause.toFixed(1)} ms, ${threads()} threads, aborted after ${left.toFixed(1)} ms`);
  assert.equal(headers.size, 1);
  assert.equal((await stats()).token_requests, 1);
  await assert.rejects(source.authorization({ signal: AbortSignal.abort() }), { name: 'AbortError' });
}

async function manyThatWaitLeaveFilesAndNamesTheirThreads() {
  await control('POST', '/send-payments/hold');
  const sources = Array.from({ length: 6 }, () => Source.fromEnv('send-payments'));
  const tokens = Promise.all(sources.map((source) => source.token()));
  let isOver = false;
  tokens.then(() => { isOver = true; });
  await fs.promises.readFile(process.env.PAYTOKEN_CA);
  await require('node:dns').promises.lookup('localhost');
  assert.ok(!isOver);
  await control('POST', '/send-payments/release');
  assert.equal((await tokens).length, 6);
}

async function aRenewalMakesNobodyWait() {
  await control('POST', '/ntx-pay/lifetime?seconds=6');
  const source = Source.fromEnv('ntx-pay');
  await source.token();
  await control('POST', '/ntx-pay/hold');
  while (source.status().requests < 2) await source.token();
  assert.equal(source.status().tokens, 1, 'a call waited for the new token');
  await control('POST', '/ntx-pay/release');
}

async function aWrongSecretIsToldAndRemembered() {
  const source = Source.fromEnv('send-payments', { client_id: 'señor', client_secret: 'contraseña' });
  for (let i = 0; i < 2; i++) {
    const error = await failure(() => source.authorization());
    assert.deepEqual([error.code, error.number, error.httpStatus, error.isRetryable], ['PAYTOKEN_REJECTED', 5, 401, false]);
    assert.ok(error.retryAfter > 10000 && error.stack && !error.message.includes('contraseña'));
  }
  assert.deepEqual((await stats()).token_requests_by_client, { señor: 1 });
  let before;
  for (let i = 0; i < 40000; i++) {
    if (i === 20000) before = resident();
    await failure(() => source.authorization());
  }
  // 20,000 objects would be 8 MiB; what JavaScript's own memory varies by is less.
  assert.ok(resident() - before < 5000, `${resident() - before} KiB more: error objects are left behind`);
}

async function a401IsReplayedOnce() {
  const source = Source.fromEnv('send-payments');
  const sent = [];
  const send = (authorization) => {
    sent.push(authorization);
    return accounts(authorization);
  };
  await control('POST', '/send-payments/fault?kind=status=401&times=1&endpoint=api');
  assert.equal((await source.call(send)).status, 200);
  assert.ok(sent.length === 2 && sent[0] !== sent[1]);
  await control('POST', '/send-payments/fault?kind=status=401&times=2&endpoint=api');
  assert.equal((await source.call(send)).status, 401);
  assert.equal(sent.length, 4);
  const { token_requests: requests } = await stats();
  await source.invalidate('Bearer of-yesterday');
  await source.token();
  assert.equal((await stats()).token_requests, requests);
  await assert.rejects(source.call(() => ({ statusCode: 401 })), TypeError);
}

async function whatCannotBePassedOnIsAnError() {
  const wrong = {
    client_secret: 'a\0b', store_directory: 'a\0b', base_url: '\ud800', user_agent: Buffer.from('x'), certificate_pem: 'x',
    timeout_ms: -1, connect_timeout_ms: 1.5, retries: 'many', client_id: 7, cliend_id: 'x', renew_in_background: 1, constructor: 'x',
  };
  for (const [name, value] of Object.entries(wrong)) {
    const error = await failure(() => Source.fromEnv('send-payments', { [name]: value }));
    assert.ok(error.code === 'PAYTOKEN_INVALID_ARGUMENT' && error.message.startsWith(`${name}:`), error.message);
  }
  assert.equal((await failure(() => Source.fromEnv('sendpayments'))).code, 'PAYTOKEN_INVALID_ARGUMENT');
  assert.equal((await failure(() => Source.fromEnv('send-payments', { timeout_ms: 0 }))).code, 'PAYTOKEN_CONFIGURATION');
  const source = Source.fromEnv('send-payments');
  for (const call of [() => source.invalidate('a\0b'), () => source.token({ minValidity: -1 }), () => source.token({ minValidity: 0.5 })]) {
    assert.equal((await failure(call)).code, 'PAYTOKEN_INVALID_ARGUMENT');
  }
  assert.equal(util.inspect(source, { showHidden: true, depth: 9 }).includes('secret'), false);
  // Closed while a fetch is under way: that one lands, later calls are errors.
  await control('POST', '/send-payments/hold');
  const waiting = source.token();
  source.close();
  source.close();
  await control('POST', '/send-payments/release');
  assert.ok(await waiting);
  for (const call of [() => source.token(), () => source.token({ force: true }), () => source.status(), () => source.invalidate('x')]) {
    assert.match((await failure(call)).message, /closed/);
  }
}

async function aStoreThatIsAwayIsSeen() {
  const place = fs.mkdtempSync(path.join(os.tmpdir(), 'paytoken-'));
  const store = path.join(place, 'store');
  const source = Source.fromEnv('send-payments', { store_directory: store });
  assert.equal(source.status().store_error_age_ms, -1);
  fs.writeFileSync(store, 'a file where the directory is to be');
  const warned = new Promise((resolve) => {
    // A logger that fails ends no program.
    const fail = (text) => { resolve(text); throw new Error('the disk is full'); };
    process.on('warning', (warning) => assert.match(warning.message, /^paytoken: the logger failed: Error: the disk is full/));
    logTo({ error: resolve, warn: fail }, { level: 'warn' });
  });
  const kept = setInterval(() => {}, 1000); // logTo's own timer keeps no program alive
  await source.token().catch((error) => assert.equal(error.code, 'PAYTOKEN_STORE'));
  assert.ok((await warned).includes(store));
  clearInterval(kept);
  logTo(null);
  fs.rmSync(place, { recursive: true });
  for (const wrong of [[undefined], [{}], ['console'], [console, { level: 'loud' }], [{ error() {} }, { level: 'warn' }]]) {
    assert.equal((await failure(() => logTo(...wrong))).code, 'PAYTOKEN_INVALID_ARGUMENT');
  }
}

async function figures() {
  const source = Source.fromEnv('send-payments');
  await source.authorization();
  const began = performance.now();
  for (let i = 0; i < 50000; i++) await source.authorization();
  console.log(`   Node: ${Math.round(50000 / ((performance.now() - began) / 1000))} cached calls/s`);
}

(async () => {
  // First the one that has to start a thread.
  for (const test of [fiveHundredCallsShareARequestAndHoldNothing, eachProviderGivesAHeader, aDescribedProviderGivesAHeader,
    manyThatWaitLeaveFilesAndNamesTheirThreads, aRenewalMakesNobodyWait, aWrongSecretIsToldAndRemembered,
    a401IsReplayedOnce, whatCannotBePassedOnIsAnError, aStoreThatIsAwayIsSeen, figures]) {
    await control('POST', '/reset');
    await test();
  }
})();
