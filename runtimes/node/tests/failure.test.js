'use strict';

const assert = require('node:assert/strict');
const path = require('node:path');
const test = require('node:test');
const { serve, until, WAIT } = require('./runtime.js');

/** Where frames come from that are none of the user's. */
const SERVER = path.join(__dirname, '..');
/** @type {[string, string][]} name, what the handler does */
const ERRORS = [
  ['an exception', 'throw new TypeError("secret");'],
  ['a rejection', 'return Promise.reject(new TypeError("secret"));'],
  ['an exception after an await', 'return (async () => { await 1; throw new TypeError("secret"); })();'],
  ['a rejection that nobody handles', 'res.locals.x = Promise.reject(new TypeError("secret")); return;'],
  ['a rejection in a chain of its own', 'setTimeout(async () => { await 1; throw new TypeError("secret"); }, 5); return;'],
  ['an exception in a timer', 'setTimeout(() => { throw new TypeError("secret"); }, 5); return;'],
  ['an exception in a tick', 'process.nextTick(() => { throw new TypeError("secret"); }); return;'],
  ['an exception in a callback of fs', 'require("fs").stat("/", () => { throw new TypeError("secret"); }); return;'],
  ['an exception in a listener of the response', 'res.on("x", () => { throw new TypeError("secret"); }); setImmediate(() => res.emit("x")); return;'],
  ['an exception of another kind', 'throw { secret: "TypeError: secret" };'],
  ['a generator that fails at once', 'return (function* () { throw new TypeError("secret"); })();'],
  ['a stream that holds what cannot be sent', 'return (function* () { yield { "TypeError: secret": 1 }.x; })();'],
  ['a status that is none', 'res.status("abc").send("secret");'],
  ['a status of 0', 'res.status(0).send("secret");'],
  ['a status of no response', 'res.status(42).json({});'],
  ['a status that nobody has set', 'return (async () => { try { throw new TypeError("secret"); } catch (error) { res.status(error.status).json({}); } })();'],
  ['sendStatus of nothing', 'res.sendStatus(undefined);'],
  ['a status that Node refuses', 'res.statusCode = NaN; res.send("secret");'],
  ['a status that Node refuses, after an await', 'return (async () => { await 1; res.statusCode = NaN; res.send("secret"); })();'],
  ['a status text of two lines', 'res.statusMessage = "a\\nb"; res.send("secret");'],
  ['an error that fails to show itself', 'throw Object.assign(new TypeError("secret"), { [require("util").inspect.custom]() { throw 1; } });'],
  ['an error whose stack fails', 'throw Object.defineProperty(new TypeError("secret"), "stack", { get() { throw 1; } });'],
  ['a header that cannot be sent', 'res.set("x", "TypeError: secret\\n");'],
];

for (const [name, body] of ERRORS) {
  test(`${name} fails its request alone`, async (t) => {
    const runtime = await serve(t, `exports.handler = (req, res) => {
      if (req.path === '/good') return 'good';
      res.set('x-before', 'secret');
      ${body}
    };`);
    const response = await runtime.fetch('/', { id: 'the-id' });
    assert.equal(response.status, 500);
    const text = await response.text();
    assert.equal(text, 'The function failed. Its log has the reason under the request id the-id.\n');
    assert.deepEqual([response.headers.get('content-type'), response.headers.get('x-before')], ['text/plain; charset=utf-8', null]);
    await runtime.prints('stderr', '\n');
    const lines = runtime.stderr.trimEnd().split('\n');
    assert.match(lines[0], /Error|error|secret/);
    for (const line of lines) {
      assert.ok(line.startsWith('[the-id] '), line);
      assert.ok(!line.includes(SERVER), line);
    }
    assert.equal(await (await runtime.fetch('/good')).text(), 'good');
    assert.equal(runtime.termination(), '');
  });
}

test('a status that cannot be sent harms no other request', async (t) => {
  const runtime = await serve(t, `exports.handler = (req, res) => {
    if (req.path === '/bad') { res.statusCode = NaN; return res.send('x'); }
    console.log('running');
    setTimeout(() => res.send('good'), 200);
  };`);
  const good = runtime.fetch('/good');
  await runtime.prints('stdout', 'running');
  const socket = await runtime.raw('GET /bad HTTP/1.1\r\nHost: a\r\n\r\nGET /bad HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
  assert.equal(socket.match(/HTTP\/1\.1 500 Internal Server Error\r\n/g)?.length, 2, socket);
  assert.equal(await (await good).text(), 'good');
  assert.equal(runtime.termination(), '');
});

test('the trace has the line of the source and the cause', async (t) => {
  const runtime = await serve(t, 'exports.handler = () => {\n  throw new Error("why", { cause: new RangeError("deep") });\n};');
  await runtime.fetch('/', { id: 'a' });
  await runtime.prints('stderr', 'deep');
  assert.match(runtime.stderr, /^\[a\] Error: why\n\[a\]     at exports\.handler \(function\.js:2:9\)\n/);
});

test('of two requests the one whose code failed fails', async (t) => {
  const runtime = await serve(t, `let both = [];
    exports.handler = (req, res) => {
      console.log('there', req.path);
      both.push(() => setTimeout(() => { if (req.path === '/bad') throw new Error('why'); res.send('good'); }, req.path === '/bad' ? 5 : 30));
      if (both.length === 2) both.forEach((go) => go());
    };`);
  // The first one's timer is begun by the second one's code.
  const good = runtime.fetch('/good', { id: 'good' });
  await runtime.prints('stdout', 'there /good');
  const bad = runtime.fetch('/bad', { id: 'bad' });
  assert.deepEqual([(await bad).status, (await good).status], [500, 200]);
});

test('a response that has begun is cut', async (t) => {
  const sources = [
    'exports.handler = (req, res) => { res.write("begun"); setTimeout(() => { throw new Error("why"); }, 300); };',
    'exports.handler = async function* () { yield "begun"; await new Promise((go) => setTimeout(go, 300)); throw new Error("why"); };',
    `export default { fetch: () => new Response(new ReadableStream({ async start(c) {
      c.enqueue(new TextEncoder().encode("begun")); await new Promise((go) => setTimeout(go, 300)); c.error(new Error("why"));
    } })) };`,
  ];
  for (const source of sources) {
    const runtime = await serve(t, source);
    const response = await runtime.fetch('/', { id: 'cut' });
    assert.equal(response.status, 200);
    await assert.rejects(response.text(), source);
    await runtime.prints('stderr', '[cut] Error: why');
    assert.equal((await runtime.fetch()).status, 200, 'the process lives');
  }
});

test('an error after the response is logged and changes nothing', async (t) => {
  const runtime = await serve(t, 'exports.handler = (req, res) => { res.send("done"); setTimeout(() => { throw new Error("late"); }, 20); };');
  const response = await runtime.fetch('/', { id: 'a' });
  assert.deepEqual([response.status, await response.text()], [200, 'done']);
  await runtime.prints('stderr', '[a] Error: late');
  assert.equal((await runtime.fetch()).status, 200);
});

test('an exception in what listens to the end of a response is logged and changes nothing', async (t) => {
  const runtime = await serve(t, 'exports.handler = (req, res) => { res.on(req.path.slice(1), () => { throw new Error("why"); }); res.send("done"); };');
  for (const event of ['finish', 'close']) {
    assert.equal(await (await runtime.fetch(`/${event}`, { id: event })).text(), 'done');
    await runtime.prints('stderr', `[${event}] Error: why`);
  }
  assert.equal((await runtime.fetch('/')).status, 200);
});

test('an exception in what listens to the caller going away is logged and changes nothing', async (t) => {
  const runtime = await serve(t, 'exports.handler = (req, res) => { if (req.path === "/") return "good"; res.on("close", () => { throw new Error("why"); }); console.log("there"); };');
  const socket = await runtime.connect();
  socket.write('GET /gone HTTP/1.1\r\nHost: a\r\nX-Request-Id: gone\r\n\r\n');
  await runtime.prints('stdout', 'there');
  socket.destroy();
  await runtime.prints('stderr', '[gone] Error: why');
  assert.equal(await (await runtime.fetch()).text(), 'good');
});

test('a connection outlives an error after the response', async (t) => {
  const runtime = await serve(t, 'exports.handler = (req, res) => { res.send("done"); setTimeout(() => { throw new Error("late"); }, 5); };');
  const socket = (await runtime.connect()).setEncoding('latin1');
  const chunks = socket[Symbol.asyncIterator]();
  for (const id of ['first', 'second']) {
    socket.write(`GET / HTTP/1.1\r\nHost: a\r\nX-Request-Id: ${id}\r\n\r\n`);
    assert.match((await chunks.next()).value, /^HTTP\/1\.1 200 OK/);
    await runtime.prints('stderr', `[${id}] Error: late`);
  }
  socket.destroy();
});

test('an error outside of any request ends the process with 1 and is reported', async (t) => {
  /** @type {[string, string][]} */
  const cases = [
    ['goes().then(() => setTimeout(() => {\n  throw new RangeError("why");\n}));', 'Outside of any request, the source threw RangeError, in line 2.'],
    ['goes().then(() => Promise.reject("why"));', 'Outside of any request, the source threw a string.'],
  ];
  for (const [source, sentence] of cases) {
    const runtime = await serve(t, `${WAIT} ${source}\nexports.handler = () => "";`);
    runtime.go();
    assert.equal(await runtime.exit(), 1);
    assert.equal(runtime.termination().split('\n')[0], sentence);
    assert.match(runtime.termination(), /why/);
    assert.equal(runtime.stderr, runtime.termination());
  }
});

test('process.exit of a running function is reported', async (t) => {
  const runtime = await serve(t, 'exports.handler = () => {\n  process.exit(7);\n};');
  await runtime.fetch().catch(() => {});
  assert.equal(await runtime.exit(), 7);
  assert.equal(runtime.termination().split('\n')[0], 'The source called process.exit(7), in line 2.');
});

test('a port that is taken is reported', async (t) => {
  const first = await serve(t, 'exports.handler = () => "";');
  const second = await require('./runtime.js').start(t, 'exports.handler = () => "";', { PORT: String(first.port) });
  assert.equal(await second.exit(), 1);
  assert.equal(second.termination(), `The server could not listen on port ${first.port}: EADDRINUSE.\n`);
});

test('a caller that goes away', async (t) => {
  const runtime = await serve(t, `let closed = 0; let returned = 0;
    const big = 'x'.repeat(100000);
    async function* endless() { try { for (;;) { yield big; await new Promise(setImmediate); } } finally { returned++; } }
    exports.handler = (req, res) => {
      if (req.path === '/counts') return { closed, returned };
      console.log('there');
      res.on('close', () => { closed++; console.log('closed'); });
      if (req.path === '/endless') return void require('stream').Readable.from(endless()).pipe(res);
      if (req.path === '/late') return void setTimeout(() => res.send('late'), 100);
      if (req.path === '/body') return 'never';
    };`);
  for (const name of ['endless', 'late']) {
    const socket = await runtime.connect();
    socket.on('error', () => {});
    socket.write(`GET /${name} HTTP/1.1\r\nHost: a\r\nX-Request-Id: ${name}\r\n\r\n`);
    await runtime.prints('stdout', `[${name}] there\n`);
    socket.destroy();
    await runtime.prints('stdout', `[${name}] closed\n`);
  }
  const half = await runtime.connect();
  half.write('POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nhalf');
  await new Promise((go) => setTimeout(go, 50));
  half.destroy();
  await until(async () => (await (await runtime.fetch('/counts')).json()).closed === 2, 'both to be closed');
  await new Promise((go) => setTimeout(go, 100));
  assert.equal(runtime.stdout, '[endless] there\n[endless] closed\n[late] there\n[late] closed\n');
  assert.equal(runtime.stderr, '');
});

test('a stream whose caller goes away is told to stop', async (t) => {
  const runtime = await serve(t, `let stopped = [];
    const big = 'x'.repeat(100000);
    const sleep = () => new Promise((go) => setTimeout(go, 5));
    async function* endless() { try { for (;;) { yield big; await sleep(); } } finally { stopped.push('generator'); } }
    const web = () => new ReadableStream({ async pull(c) { await sleep(); c.enqueue(new TextEncoder().encode(big)); }, cancel() { stopped.push('stream'); } });
    const node = () => new (require('stream').Readable)({ read() { if (!this.begun) this.push('x'); this.begun = true; }, destroy(error, done) { stopped.push('node'); done(error); } });
    const silent = () => new ReadableStream({ start(c) { c.enqueue(new Uint8Array(1)); }, cancel() { stopped.push('silent'); } });
    exports.handler = (req) => {
      if (req.path === '/stopped') return stopped.sort();
      if (req.path === '/generator') return endless();
      if (req.path === '/node') return node();
      if (req.path === '/plain') return silent();
      return new Response(req.path === '/web' ? web() : silent());
    };`);
  for (const target of ['/generator', '/web', '/silent', '/node', '/plain']) {
    const gone = new AbortController();
    const response = await runtime.fetch(target, { signal: gone.signal });
    await response.body?.getReader().read();
    gone.abort();
  }
  await until(async () => (await (await runtime.fetch('/stopped')).json()).length === 5, 'all to be stopped');
  assert.deepEqual(await (await runtime.fetch('/stopped')).json(), ['generator', 'node', 'silent', 'silent', 'stream']);
  assert.equal(runtime.stderr, '');
});

test('an answer of another length than it says breaks off, or is none', async (t) => {
  const runtime = await serve(t, `exports.handler = (req, res) => {
    if (req.path === '/ok') return res.send('ok');
    res.setHeader('content-length', 5);
    res.end('0123456789');
  };`);
  const text = await runtime.raw('GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
  assert.ok(!text.includes('56789'), text);
  assert.equal(await (await runtime.fetch('/ok')).text(), 'ok');
});
