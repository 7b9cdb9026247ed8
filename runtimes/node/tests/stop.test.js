'use strict';

const assert = require('node:assert/strict');
const test = require('node:test');
const { serve, start, connects, until } = require('./runtime.js');

const SLOW = `exports.handler = async (req) => {
  if (req.path === '/fast') return 'fast';
  console.log('running');
  // Long enough for the signal to come before the answer.
  await new Promise((go) => setTimeout(go, 3000));
  return 'done';
};`;

test('SIGTERM ends an idle process with 0 and closes its idle connections', async (t) => {
  const runtime = await serve(t, SLOW);
  const idle = await runtime.connect();
  idle.write('GET /fast HTTP/1.1\r\nHost: a\r\n\r\n');
  const chunks = idle[Symbol.asyncIterator]();
  await chunks.next();
  runtime.child.kill('SIGTERM');
  assert.equal(await runtime.exit(), 0);
  assert.equal((await chunks.next()).done, true);
  assert.equal(runtime.termination(), '');
});

test('SIGTERM closes connections that have brought nothing', async (t) => {
  const runtime = await serve(t, SLOW);
  const untouched = await runtime.connect();
  // It is taken by then.
  assert.equal(await (await runtime.fetch('/fast')).text(), 'fast');
  runtime.child.kill('SIGTERM');
  assert.equal(await runtime.exit(), 0);
  untouched.destroy();
});

test('SIGTERM lets running requests finish, with Connection: close, and takes no new connection', async (t) => {
  const runtime = await serve(t, `setInterval(() => {}, 1000);\n${SLOW}`);
  const running = [runtime.fetch('/a'), runtime.fetch('/b')];
  await until(() => runtime.stdout.split('running').length === 3, 'both to run');
  runtime.child.kill('SIGTERM');
  await until(async () => !await connects(runtime.port), 'the port to close');
  for (const response of await Promise.all(running)) {
    assert.deepEqual([response.status, response.headers.get('connection'), await response.text()], [200, 'close', 'done']);
  }
  assert.equal(await runtime.exit(), 0);
});

test('SIGTERM lets a begun response finish', async (t) => {
  const runtime = await serve(t, 'exports.handler = async function* () { yield "a"; await new Promise((go) => setTimeout(go, 300)); yield "b"; };');
  const socket = (await runtime.connect()).setEncoding('latin1');
  socket.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
  let text = '';
  // The loop ends when the server ends the connection, which it had promised to keep.
  for await (const chunk of socket) {
    if (text === '') runtime.child.kill('SIGTERM');
    text += chunk;
  }
  assert.match(text, /connection: keep-alive[^]*\r\na\r\n1\r\nb\r\n0\r\n\r\n$/i);
  assert.equal(await runtime.exit(), 0);
});

test('a second SIGTERM ends it at once', async (t) => {
  const runtime = await serve(t, 'exports.handler = () => { console.log("running"); return new Promise(() => {}); };');
  const response = runtime.fetch().catch(() => 'cut');
  await runtime.prints('stdout', 'running');
  runtime.child.kill('SIGTERM');
  await until(async () => !await connects(runtime.port), 'the port to close');
  assert.equal(runtime.ended, false);
  runtime.child.kill('SIGTERM');
  assert.equal(await runtime.exit(), 143);
  assert.equal(await response, 'cut');
});

test('SIGTERM while the code is loaded ends it at once with 0', async (t) => {
  const runtime = await start(t, 'console.log("loading"); await new Promise((go) => setTimeout(go, 10_000)); export const handler = 1;');
  await runtime.prints('stdout', 'loading');
  runtime.child.kill('SIGTERM');
  assert.equal(await runtime.exit(), 0);
  assert.equal(runtime.termination(), '');
});
