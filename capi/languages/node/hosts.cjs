// node:cluster with four workers that share a store directory, and what a TERM does: run by parts.sh.
'use strict';
const assert = require('node:assert/strict');
const cluster = require('node:cluster');
const { readdirSync } = require('node:fs');
const { monitorEventLoopDelay } = require('node:perf_hooks');
const { Source } = require('paytoken');

const counts = () => ({ threads: readdirSync('/proc/self/task').length, descriptors: readdirSync('/proc/self/fd').length });
const control = async (method, path) => (await fetch(process.env.PAYTOKEN_SANDBOX_CONTROL + path, { method })).text();

if (cluster.isPrimary) primary();
else worker();

async function worker() {
  const loop = monitorEventLoopDelay({ resolution: 1 });
  const source = Source.fromEnv('send-payments');
  process.on('SIGTERM', () => {
    source.close();
    process.disconnect();
  });
  process.once('message', async () => {
    const before = counts();
    loop.enable();
    const headers = await Promise.all(Array.from({ length: 100 }, () => source.authorization()));
    loop.disable();
    process.send({ header: headers[0], same: new Set(headers).size === 1, pause: loop.max / 1e6, before, after: counts() });
  });
  // The loop has turned a few times: its start is not what is measured.
  setTimeout(() => process.send('ready'), 50);
}

async function primary() {
  await control('POST', '/reset');
  const workers = Array.from({ length: 4 }, () => cluster.fork());
  const message = (its) => new Promise((resolve) => { its.once('message', resolve); });
  await Promise.all(workers.map(message));
  const answers = workers.map(message);
  for (const its of workers) its.send('go');
  const told = await Promise.all(answers);
  assert.ok(told.every((one) => one.same && one.header === told[0].header));
  assert.equal(JSON.parse(await control('GET', '/stats'))['send-payments'].token_requests, 1);
  const began = performance.now();
  const ends = workers.map((its) => new Promise((resolve) => { its.once('exit', (code, signal) => resolve([code, signal])); }));
  for (const its of workers) its.process.kill('SIGTERM');
  assert.deepEqual(await Promise.all(ends), workers.map(() => [0, null]));
  const most = (of) => Math.max(...told.map(of));
  console.log(`   Node, cluster: 1 request for 400 calls in 4 workers, longest pause ${most((one) => one.pause).toFixed(1)} ms, `
    + `threads ${most((one) => one.before.threads)} to ${most((one) => one.after.threads)}, `
    + `descriptors ${most((one) => one.before.descriptors)} to ${most((one) => one.after.descriptors)}, `
    + `ended ${((performance.now() - began) / 1000).toFixed(1)} s after TERM`);
}
