'use strict';

const assert = require('node:assert/strict');
const test = require('node:test');
const zlib = require('node:zlib');
const { serve, until } = require('./runtime.js');

const MIB = 1024 * 1024;
const HEAP = { NODE_OPTIONS: '--max-old-space-size=128', ROUSE_HEAP_MIB: '128' };
const NO_ROOM = 'The bodies of the requests at hand fill the memory of the function. A higher resources.memory gives room for more.\n';

/** @param {Response} response */
const told = async (response) => [response.status, await response.text()];

test('a body is parsed only for a handler that asks for it', async (t) => {
  const runtime = await serve(t, `let there = 0; let go; const all = new Promise((resolve) => { go = resolve; });
    exports.handler = async (req) => {
      if (req.path === '/read') return req.body.length;
      if (++there === 6) go();
      await all;
      return String(req.rawBody.length);
    };`, HEAP);
  const headers = { 'content-type': 'application/json', 'content-encoding': 'gzip' };
  const lists = zlib.gzipSync(`[${'[],'.repeat(2.6 * MIB)}[]]`);
  assert.ok(lists.length < 16_000, 'few bytes on the way');
  const all = await Promise.all(Array.from({ length: 6 }, async () => told(await runtime.fetch('/', { method: 'POST', headers, body: lists }))));
  for (const each of all) assert.deepEqual(each, [200, String(3 * Math.floor(2.6 * MIB) + 4)]);
  assert.deepEqual(await told(await runtime.fetch('/read', { method: 'POST', headers, body: zlib.gzipSync('[1]') })), [200, '1']);
});

test('a body that is no JSON is a handler\'s to catch', async (t) => {
  const runtime = await serve(t, `exports.handler = (req, res) => {
    if (req.path === '/raw') return req.rawBody.toString();
    if (req.path === '/timer') return setTimeout(() => res.send(req.body), 5);
    try { return req.body; } catch (error) { return [error.status, error.message]; }
  };`);
  const send = (/** @type {string} */ target) => runtime.fetch(target, { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{' });
  assert.deepEqual(await told(await send('/raw')), [200, '{']);
  assert.deepEqual(await told(await send('/timer')), [400, 'The body is not valid JSON.\n']);
  assert.deepEqual(await told(await send('/')), [200, '[400,"The body is not valid JSON."]']);
  assert.equal(runtime.stderr, '');
});

test('a body is kept once it is read, and may be another', async (t) => {
  const runtime = await serve(t, `exports.handler = (req) => {
    const same = req.body === req.body;
    req.body.more = 1;
    const { more } = req.body;
    req.body = 'another';
    return [same, more, req.body];
  };`);
  for (const body of ['{}', '']) {
    const response = await runtime.fetch('/', { method: 'POST', headers: { 'content-type': 'application/json' }, body });
    assert.deepEqual(await response.json(), [true, 1, 'another']);
  }
});

test('a body of very many pieces takes no more than its length', async (t) => {
  const runtime = await serve(t, 'exports.handler = (req) => String(req.rawBody.equals(Buffer.from("xyz".repeat(req.rawBody.length / 3))) && req.rawBody.length);', HEAP);
  const socket = (await runtime.connect()).setEncoding('latin1');
  socket.write('POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n');
  for (let i = 0; i < 30; i++) await new Promise((go) => { socket.write('1\r\nx\r\n1\r\ny\r\n1\r\nz\r\n'.repeat(33_000), go); });
  socket.write('0\r\n\r\n');
  let text = '';
  for await (const chunk of socket) text += chunk;
  assert.match(text, /\r\n\r\n2970000$/);
});

/** @type {[string | undefined, string | undefined, number][]} heap, limit that is asked for, limit that holds */
const LIMITS = [
  [undefined, undefined, 32 * MIB],
  ['64', undefined, 16 * MIB],
  ['128', undefined, 32 * MIB],
  ['768', undefined, 32 * MIB],
  ['64', '1000', 1000],
  ['64', String(40 * MIB), 40 * MIB],
];

for (const [heap, asked, limit] of LIMITS) {
  test(`with a heap of ${heap} MiB and ${asked} bytes asked for, a body may have ${limit} bytes`, async (t) => {
    const env = { ...(heap && { ROUSE_HEAP_MIB: heap }), ...(asked && { FUNCTION_MAX_BODY_BYTES: asked }) };
    const runtime = await serve(t, 'exports.handler = (req) => String(req.rawBody.length);', env);
    assert.deepEqual(await told(await runtime.fetch('/', { method: 'POST', body: Buffer.alloc(limit) })), [200, String(limit)]);
    assert.deepEqual(await told(await runtime.fetch('/', { method: 'POST', body: Buffer.alloc(limit + 1) })), [413, `The body is longer than ${limit} bytes.\n`]);
  });
}

test('a body may become only so long when its encoding is undone', async (t) => {
  for (const [env, limit] of /** @type {[Record<string, string>, number][]} */ ([[HEAP, 8 * MIB], [{ ...HEAP, FUNCTION_MAX_BODY_BYTES: '1000' }, 1000], [{}, 32 * MIB]])) {
    const runtime = await serve(t, 'exports.handler = (req) => String(req.rawBody.length);', env);
    for (const [encoding, pack] of Object.entries({ gzip: zlib.gzipSync, deflate: zlib.deflateSync, br: zlib.brotliCompressSync })) {
      const send = (/** @type {number} */ length) => runtime.fetch('/', { method: 'POST', headers: { 'content-encoding': encoding }, body: pack(Buffer.alloc(length)) });
      if (limit > 1000) assert.deepEqual(await told(await send(limit)), [200, String(limit)], encoding);
      assert.deepEqual(await told(await send(limit + 1)), [413, `The body is longer than ${limit} bytes.\n`], encoding);
    }
  }
});

/** Room for one body of a million bytes and another of a few, and a handler that ends in every way there is. */
const ROOM = { ROUSE_HEAP_MIB: '2', FUNCTION_MAX_BODY_BYTES: '1000000' };
const ENDS = `let release = () => {};
  exports.handler = async (req, res) => {
    if (req.path === '/release') { release(); return 'released'; }
    const until = new Promise((go) => { release = go; });
    if (req.path !== '/at-once') console.log('running');
    if (req.path === '/hold') await until;
    if (req.path === '/throw') throw new Error('why');
    if (req.path === '/cut') { res.write('x'); throw new Error('why'); }
    if (req.path === '/stream') return (async function* () { yield 'a'; await until; yield 'b'; })();
    if (req.path === '/destroy') return void res.destroy();
    if (req.path === '/never') await new Promise(() => {});
    return String(req.rawBody.length);
  };`;
const MOST = Buffer.alloc(1_000_000);
const post = (/** @type {Buffer} */ body, more = {}) => ({ method: 'POST', body, ...more });

/**
 * A caller may have its answer a moment before the server has done with the request.
 *
 * @param {Awaited<ReturnType<typeof serve>>} runtime
 */
const rest = async (runtime) => { assert.equal((await told(await runtime.fetch('/release')))[0], 200); };

test('bodies of requests that run fill the room for all; what is beyond gets 503', async (t) => {
  for (const target of ['/hold', '/stream']) {
    const runtime = await serve(t, ENDS, ROOM);
    const first = runtime.fetch(target, post(MOST));
    await runtime.prints('stdout', 'running');
    const beyond = await runtime.fetch('/', post(MOST));
    assert.deepEqual([beyond.headers.get('retry-after'), beyond.headers.get('connection'), ...await told(beyond)], ['1', 'close', 503, NO_ROOM]);
    const short = await runtime.fetch('/release', post(Buffer.alloc(10)));
    assert.deepEqual(await told(short), [200, 'released'], 'there is some room left');
    assert.equal((await told(await first))[0], 200);
    await rest(runtime);
    assert.deepEqual(await told(await runtime.fetch('/at-once', post(MOST))), [200, '1000000']);
    assert.equal(runtime.stderr, '');
  }
});

test('bodies that have not arrived yet take what has arrived of them, and no more', async (t) => {
  const runtime = await serve(t, ENDS, ROOM);
  const sockets = [];
  for (let i = 0; i < 10; i++) {
    const socket = await runtime.connect();
    socket.write(Buffer.concat([Buffer.from('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n'), Buffer.alloc(1000)]));
    sockets.push(socket);
  }
  assert.equal((await told(await runtime.fetch('/at-once', post(MOST))))[0], 200);
  await rest(runtime);
  sockets[0].write(Buffer.alloc(900_000));
  await until(async () => (await told(await runtime.fetch('/at-once', post(Buffer.alloc(200_000)))))[0] === 503, 'the room to be taken');
  for (const socket of sockets) socket.destroy();
  await until(async () => (await told(await runtime.fetch('/at-once', post(MOST))))[0] === 200, 'the room to be given back');
});

/** @type {[string, (runtime: Awaited<ReturnType<typeof serve>>) => Promise<unknown>][]} ways to end for a request with a body of a million bytes */
const WAYS = [
  ['its answer', async (runtime) => (await runtime.fetch('/', post(MOST))).text()],
  ['an exception', async (runtime) => (await runtime.fetch('/throw', post(MOST))).text()],
  ['an exception in its answer', async (runtime) => runtime.fetch('/cut', post(MOST)).then((response) => response.text()).catch(() => {})],
  ['a connection that the handler ends', async (runtime) => runtime.fetch('/destroy', post(MOST)).catch(() => {})],
  ['a caller that goes away', async (runtime) => {
    const gone = new AbortController();
    const response = runtime.fetch('/never', post(MOST, { signal: gone.signal })).catch(() => {});
    await runtime.prints('stdout', 'running');
    gone.abort();
    await response;
  }],
  ['a caller that goes away from two requests, of which one waits for the other', async (runtime) => {
    const socket = await runtime.connect();
    const one = 'POST /never HTTP/1.1\r\nHost: a\r\nContent-Length: 500000\r\n\r\n';
    const half = MOST.subarray(0, 500_000);
    socket.write(Buffer.concat([Buffer.from(one), half, Buffer.from(one), half]));
    await until(() => runtime.stdout.split('running').length === 3, 'both to run');
    socket.destroy();
  }],
  ['an upload that breaks off', async (runtime) => {
    const socket = await runtime.connect();
    socket.write(Buffer.concat([Buffer.from('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n'), MOST.subarray(1)]));
    await until(async () => (await told(await runtime.fetch('/at-once', post(Buffer.alloc(200_000)))))[0] === 503, 'the room to be taken');
    socket.destroy();
  }],
  ['chunks that are too many', async (runtime) => {
    const response = await runtime.raw(`POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n${`186a0\r\n${'x'.repeat(100_000)}\r\n`.repeat(11)}0\r\n\r\n`);
    assert.match(response, /^HTTP\/1\.1 413 /);
  }],
  ['chunks that are none', async (runtime) => {
    assert.match(await runtime.raw(`POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n186a0\r\n${'x'.repeat(100_000)}\r\nnone\r\n`), /^HTTP\/1\.1 400 /);
  }],
  ['an encoding that is not known', async (runtime) => {
    assert.equal((await runtime.fetch('/', post(MOST, { headers: { 'content-encoding': 'x' } }))).status, 415);
  }],
  ['an encoding that it does not have', async (runtime) => {
    assert.equal((await runtime.fetch('/', post(MOST, { headers: { 'content-encoding': 'gzip' } }))).status, 400);
  }],
  ['an encoding that is undone', async (runtime) => {
    assert.equal((await runtime.fetch('/', post(zlib.gzipSync(Buffer.alloc(100_000)), { headers: { 'content-encoding': 'gzip' } }))).status, 200);
  }],
  ['an encoding that would make it too long', async (runtime) => {
    assert.equal((await runtime.fetch('/', post(zlib.gzipSync(MOST), { headers: { 'content-encoding': 'gzip' } }))).status, 413);
  }],
];

for (const [name, end] of WAYS) {
  test(`the room of a body is given back after ${name}`, async (t) => {
    const runtime = await serve(t, ENDS, ROOM);
    await end(runtime);
    await until(async () => (await told(await runtime.fetch('/at-once', post(MOST))))[0] === 200, 'the room to be given back');
    await rest(runtime);
    // Nor is there more of it than before.
    const first = runtime.fetch('/hold', post(MOST, { id: 'first' }));
    await runtime.prints('stdout', '[first] running');
    assert.equal((await told(await runtime.fetch('/', post(MOST))))[0], 503);
    await runtime.fetch('/release');
    assert.equal((await first).status, 200);
  });
}
