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

/** @param {import('node:net').Socket} socket */
async function textOf(socket) {
  let text = '';
  for await (const chunk of socket.setEncoding('latin1')) text += chunk;
  return text;
}

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

test('SIGTERM loses no request that was sent before it', async (t) => {
  const runtime = await serve(t, `exports.handler = (req) => {
    if (req.path === '/block') { console.log('blocked'); for (const end = Date.now() + 1000; Date.now() < end;); }
    return 'whole ' + req.path;
  };`);
  const kept = (await runtime.connect()).setEncoding('latin1');
  kept.write('GET /first HTTP/1.1\r\nHost: a\r\n\r\n');
  const chunks = kept[Symbol.asyncIterator]();
  await chunks.next();
  const early = await runtime.connect();
  const blocked = runtime.fetch('/block');
  await runtime.prints('stdout', 'blocked');
  kept.write('GET /kept HTTP/1.1\r\nHost: a\r\n\r\n');
  early.write('GET /early HTTP/1.1\r\nHost: a\r\n\r\n');
  const answers = [textOf(early)];
  for (let i = 0; i < 50; i++) {
    const socket = await runtime.connect();
    socket.write(`GET /${i} HTTP/1.1\r\nHost: a\r\n${i % 2 ? '' : '\r\n'}`);
    answers.push(textOf(socket));
    if (i % 2) setTimeout(() => socket.write('\r\n'), 1500);
  }
  const untouched = await runtime.connect();
  runtime.child.kill('SIGTERM');
  assert.equal(await (await blocked).text(), 'whole /block');
  assert.match((await chunks.next()).value, /whole \/kept$/);
  for (const [at, text] of (await Promise.all(answers)).entries()) assert.match(text, /^HTTP\/1\.1 200 OK[^]*whole/, `${at}`);
  assert.equal(await textOf(untouched), '');
  assert.equal(await runtime.exit(), 0);
});

test('SIGTERM waits only so long for the rest of a head', async (t) => {
  const runtime = await serve(t, 'exports.handler = () => "x"');
  const half = await runtime.connect();
  const second = await runtime.connect();
  half.write('GET / HTTP/1.1\r\nHost:');
  second.write('GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP');
  await new Promise((go) => setTimeout(go, 100));
  runtime.child.kill('SIGTERM');
  assert.equal(await runtime.exit(), 0);
  half.destroy();
  second.destroy();
});

test('what the source does at SIGTERM it does when the requests have their answers', async (t) => {
  const runtime = await serve(t, `${SLOW.replace("return 'done'", "console.log('answered'); return 'done'")}
    const gone = () => console.log('gone');
    process.on('SIGTERM', gone);
    process.off('SIGTERM', gone);
    process.prependListener('SIGTERM', async (name, number) => {
      await new Promise((go) => setTimeout(go, 100));
      console.log('closed', name, number);
    });
    process.once('SIGTERM', () => setTimeout(() => process.exit(3), 2000));`);
  const running = runtime.fetch('/slow');
  await runtime.prints('stdout', 'running');
  runtime.child.kill('SIGTERM');
  assert.equal(await (await running).text(), 'done');
  assert.equal(await runtime.exit(), 0);
  assert.equal(runtime.stdout, '[test] running\n[test] answered\nclosed SIGTERM 15\n');
  assert.equal(runtime.termination(), '');
});

test('a source that ends the process at SIGTERM cuts no request', async (t) => {
  const runtime = await serve(t, `${SLOW}\nprocess.on('SIGTERM', () => process.exit(3));`);
  const running = runtime.fetch('/slow');
  await runtime.prints('stdout', 'running');
  runtime.child.kill('SIGTERM');
  assert.equal(await (await running).text(), 'done');
  assert.equal(await runtime.exit(), 3);
  assert.equal(runtime.termination(), '');
});

test('an exception of what the source does at SIGTERM is reported', async (t) => {
  const runtime = await serve(t, `${SLOW}\nprocess.on('SIGTERM', async () => { await 1; throw new RangeError('why'); });`);
  runtime.child.kill('SIGTERM');
  assert.equal(await runtime.exit(), 1);
  assert.match(runtime.termination(), /^Outside of any request, the source threw RangeError/);
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
