// A program in a bundle of esbuild: run by parts.sh.
'use strict';
const assert = require('node:assert/strict');
const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const esbuild = require('esbuild');

fs.mkdirSync('bundle', { recursive: true });
const program = `
  const { Source } = require('paytoken');
  console.log('started');
  Source.fromEnv('send-payments').token().then((token) => console.log(token.length > 20));
`;

function run(name, external) {
  const outfile = `bundle/${name}.cjs`;
  esbuild.buildSync({ stdin: { contents: program, resolveDir: '.' }, bundle: true, platform: 'node', outfile, external, logLevel: 'error' });
  return spawnSync(process.execPath, [outfile], { encoding: 'utf8', timeout: 30000 });
}

const beside = run('beside', ['paytoken']);
assert.deepEqual([beside.stdout, beside.status], ['started\ntrue\n', 0], beside.stderr);
const inside = run('inside', ['koffi']);
assert.deepEqual([inside.stdout, inside.status], ['', 1]);
assert.match(inside.stderr, /Error: paytoken cannot run inside a bundle.*leave it out \(esbuild: --external:paytoken/);
console.log('   Node: beside a bundle it works, the program starts once; inside, it is refused');
