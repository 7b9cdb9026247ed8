'use strict';

const assert = require('node:assert/strict');
const http = require('node:http');
const test = require('node:test');
const zlib = require('node:zlib');
const { serve, until } = require('./runtime.js');

/** Tells a test what the handler saw. */
const TELL = `exports.handler = (req, res) => res.json({
  method: req.method, url: req.url, originalUrl: req.originalUrl, path: req.path, query: req.query, params: req.params,
  body: Buffer.isBuffer(req.body) ? { bytes: req.body.toString('hex') } : req.body, rawBody: req.rawBody.toString('hex'),
  hostname: req.hostname, ip: req.ip, protocol: req.protocol, secure: req.secure,
  get: req.get('X-Custom'), header: req.header('content-TYPE'), referrer: req.get('referer'),
});`;

/**
 * @param {import('node:test').TestContext} t
 * @param {string} target
 * @param {RequestInit} [options]
 */
async function told(t, target, options) {
  const runtime = await serve(t, TELL);
  return (await runtime.fetch(target, options)).json();
}

test('a request has what Express gives it', async (t) => {
  const seen = await told(t, '/a/b%20c?x=1&y=2&y=3&z=%F0%9F%90%9D', { headers: {
    'X-Custom': 'yes', 'X-Forwarded-For': '10.1.2.3, 10.9.9.9', 'X-Forwarded-Host': 'api.example:8443', 'X-Forwarded-Proto': 'https', Referer: 'http://from/',
  } });
  assert.deepEqual(seen, {
    method: 'GET', url: '/a/b%20c?x=1&y=2&y=3&z=%F0%9F%90%9D', originalUrl: '/a/b%20c?x=1&y=2&y=3&z=%F0%9F%90%9D', path: '/a/b%20c',
    query: { x: '1', y: ['2', '3'], z: '\u{1f41d}' }, params: {}, body: {}, rawBody: '',
    hostname: 'api.example', ip: '10.1.2.3', protocol: 'https', secure: true, get: 'yes', referrer: 'http://from/',
  });
});

test('without a proxy the connection tells address and host', async (t) => {
  const { ip, hostname, protocol, secure, query } = await told(t, '/');
  assert.match(ip, /127\.0\.0\.1$/);
  assert.deepEqual({ hostname, protocol, secure, query }, { hostname: '127.0.0.1', protocol: 'http', secure: false, query: {} });
});

/** @type {[string, string | undefined, string | Buffer, any, string?][]} name, type, body, what the handler gets, encoding */
const BODIES = [
  ['JSON', 'application/json', '{"a":[1,"\u{1f41d}"]}', { a: [1, '\u{1f41d}'] }],
  ['JSON with parameters', 'Application/JSON; charset=utf-8', 'null', null],
  ['a type that ends in +json', 'application/problem+json', '"text"', 'text'],
  ['a form', 'application/x-www-form-urlencoded', 'a=1&b=x+y&b=%C3%A9', { a: '1', b: ['x y', 'é'] }],
  ['text', 'text/plain', 'grüße\n', 'grüße\n'],
  ['CSV', 'text/csv', 'a,b', 'a,b'],
  ['bytes', 'application/octet-stream', Buffer.from([0, 255, 128]), { bytes: '00ff80' }],
  ['a type that nobody knows', 'x/y', 'ab', { bytes: '6162' }],
  ['an empty body', 'application/json', '', {}],
  ['gzip', 'application/json', zlib.gzipSync('{"a":1}'), { a: 1 }, 'gzip'],
  ['deflate', 'text/plain', zlib.deflateSync('text'), 'text', 'deflate'],
  ['Brotli', 'text/plain', zlib.brotliCompressSync('text'), 'text', 'br'],
];

test('a body is parsed by its type', async (t) => {
  const runtime = await serve(t, TELL);
  for (const [name, type, body, expected, encoding] of BODIES) {
    const headers = { 'content-type': type ?? '', ...(encoding && { 'content-encoding': encoding }) };
    const seen = await (await runtime.fetch('/', { method: 'POST', headers, body })).json();
    assert.deepEqual(seen.body, expected, name);
    assert.equal(seen.header, type);
    if (!encoding) assert.equal(seen.rawBody, Buffer.from(body).toString('hex'), name);
  }
});

test('a body that is not what it says is refused', async (t) => {
  const runtime = await serve(t, TELL);
  const cases = [
    ['application/json', undefined, '{', 400, 'The body is not valid JSON.\n'],
    ['text/plain', 'gzip', 'text', 400, 'The body is not valid gzip.\n'],
    ['text/plain', 'zstd', 'text', 415, 'The body has a Content-Encoding that is not known here.\n'],
    ['text/plain', 'constructor', 'text', 415, 'The body has a Content-Encoding that is not known here.\n'],
  ];
  for (const [type, encoding, body, status, text] of cases) {
    const headers = { 'content-type': String(type), ...(encoding && { 'content-encoding': String(encoding) }) };
    const response = await runtime.fetch('/', { method: 'POST', headers, body: String(body) });
    assert.deepEqual([response.status, await response.text()], [status, text]);
  }
  assert.equal(runtime.stderr, '');
});

/** @type {[string, string, number, Record<string, string | null>, string][]} name, body of handler(req, res), status, headers, text */
const RESPONSES = [
  ['send text', 'res.send("<p>")', 200, { 'content-type': 'text/html; charset=utf-8', 'content-length': '3' }, '<p>'],
  ['send text of many bytes', 'res.send("é")', 200, { 'content-length': '2' }, 'é'],
  ['send an object', 'res.send({ a: 1 })', 200, { 'content-type': 'application/json; charset=utf-8' }, '{"a":1}'],
  ['send a number', 'res.send(5)', 200, { 'content-type': 'application/json; charset=utf-8' }, '5'],
  ['send bytes', 'res.send(Buffer.from("ab"))', 200, { 'content-type': 'application/octet-stream', 'content-length': '2' }, 'ab'],
  ['send nothing', 'res.send()', 200, { 'content-length': '0' }, ''],
  ['send null', 'res.send(null)', 200, { 'content-length': '0' }, ''],
  ['status', 'res.status(404).send("no")', 404, {}, 'no'],
  ['json', 'res.status(201).json([1])', 201, { 'content-type': 'application/json; charset=utf-8' }, '[1]'],
  ['json of another type', 'res.type("application/problem+json").json({})', 200, { 'content-type': 'application/problem+json' }, '{}'],
  ['sendStatus', 'res.sendStatus(403)', 403, { 'content-type': 'text/plain; charset=utf-8' }, 'Forbidden'],
  ['sendStatus(204)', 'res.sendStatus(204)', 204, { 'content-type': null, 'content-length': null, 'transfer-encoding': null }, ''],
  ['send with 304', 'res.status(304).send("x")', 304, { 'content-length': null }, ''],
  ['set', 'res.set("X-A", 1).set({ "X-B": ["b", "c"] }).send(res.get("x-a") === "1")', 200, { 'x-a': '1', 'x-b': 'b, c' }, 'true'],
  ['set of a type', 'res.set("content-type", "text/css").end("x")', 200, { 'content-type': 'text/css; charset=utf-8' }, 'x'],
  ['append', 'res.append("X-A", "1").append("x-a", "2").send("")', 200, { 'x-a': '1, 2' }, ''],
  ['type', 'res.type("png").send("x")', 200, { 'content-type': 'image/png' }, 'x'],
  ['type of no name', 'res.type("constructor").send("x")', 200, { 'content-type': 'application/octet-stream' }, 'x'],
  ['redirect', 'res.redirect("/ü?a=%20 b")', 302, { location: '/%C3%BC?a=%20%20b' }, 'Found. Redirecting to /%C3%BC?a=%20%20b'],
  ['redirect with a status', 'res.redirect(308, "https://other/")', 308, { location: 'https://other/' }, 'Permanent Redirect. Redirecting to https://other/'],
  ['end', 'res.statusCode = 418; res.end("tea")', 418, { 'content-length': '3' }, 'tea'],
  ['write', 'res.write("a"); setTimeout(() => { res.write("b"); res.end("c"); }, 10)', 200, { 'transfer-encoding': 'chunked' }, 'abc'],
  ['writeHead', 'res.writeHead(202, { "X-A": "1" }).end()', 202, { 'x-a': '1' }, ''],
  ['pipe', 'require("stream").Readable.from(["a", "b"]).pipe(res)', 200, {}, 'ab'],
  ['locals', 'res.locals.a = "x"; res.send(res.locals.a)', 200, {}, 'x'],
  ['a late answer', 'setTimeout(() => res.send("late"), 20)', 200, {}, 'late'],
  ['a return after an answer', 'return res.send("first")', 200, {}, 'first'],
];

test('a response has what Express gives it', async (t) => {
  const runtime = await serve(t, `exports.handler = (req, res) => new Function('req', 'res', 'require', req.body)(req, res, require);`);
  for (const [name, body, status, headers, text] of RESPONSES) {
    const response = await runtime.fetch('/', { method: 'POST', headers: { 'content-type': 'text/plain' }, body, redirect: 'manual' });
    assert.equal(response.status, status, name);
    for (const [header, value] of Object.entries(headers)) assert.equal(response.headers.get(header), value, `${name}: ${header}`);
    assert.equal(await response.text(), text, name);
  }
  assert.equal(runtime.stderr, '');
});

/** @type {[string, string, number, string | null, string][]} name, what handler(req) gives, status, type, text */
const RETURNS = [
  ['text', '"é"', 200, 'text/plain; charset=utf-8', 'é'],
  ['empty text', '""', 200, 'text/plain; charset=utf-8', ''],
  ['bytes', 'Buffer.from("ab")', 200, 'application/octet-stream', 'ab'],
  ['an ArrayBuffer', 'new Uint8Array([97]).buffer', 200, 'application/octet-stream', 'a'],
  ['an object', '({ a: 1 })', 200, 'application/json; charset=utf-8', '{"a":1}'],
  ['an array', '[1]', 200, 'application/json; charset=utf-8', '[1]'],
  ['a number', '42', 200, 'application/json; charset=utf-8', '42'],
  ['false', 'false', 200, 'application/json; charset=utf-8', 'false'],
  ['what has its own JSON', 'new Date(0)', 200, 'application/json; charset=utf-8', '"1970-01-01T00:00:00.000Z"'],
  ['undefined', 'undefined', 204, null, ''],
  ['null', 'null', 204, null, ''],
  ['a promise', 'new Promise((go) => setTimeout(go, 5, "later"))', 200, 'text/plain; charset=utf-8', 'later'],
  ['a Response', 'new Response("x", { status: 418, headers: { "x-a": "1" } })', 418, 'text/plain;charset=UTF-8', 'x'],
  ['a Response without a body', 'new Response(null, { status: 204 })', 204, null, ''],
  ['a generator', '(function* () { yield "a"; yield Buffer.from("b"); })()', 200, null, 'ab'],
  ['an asynchronous generator', '(async function* () { for (let i = 0; i < 3; i++) { await new Promise(setImmediate); yield String(i); } })()', 200, null, '012'],
  ['a generator of nothing', '(function* () {})()', 200, null, ''],
  ['a stream of Node', 'require("stream").Readable.from(["a", "b"])', 200, null, 'ab'],
  ['a stream of the web', 'new Blob(["a", "b"]).stream()', 200, null, 'ab'],
];

test('what a handler returns is the answer', async (t) => {
  const runtime = await serve(t, `exports.handler = (req) => new Function('require', 'return ' + req.body)(require);`);
  for (const [name, body, status, type, text] of RETURNS) {
    const response = await runtime.fetch('/', { method: 'POST', headers: { 'content-type': 'text/plain' }, body });
    assert.equal(response.status, status, name);
    assert.equal(response.headers.get('content-type'), type, name);
    assert.equal(await response.text(), text, name);
  }
  for (const body of ['() => {}', 'Symbol()', '1n']) {
    assert.equal((await runtime.fetch('/', { method: 'POST', headers: { 'content-type': 'text/plain' }, body })).status, 500, body);
  }
});

test('a handler that takes res answers by it, and by returning only what is clearly an answer', async (t) => {
  const runtime = await serve(t, `exports.handler = (req, res) => {
    if (req.path === '/timer') return setTimeout(() => res.send('by res'), 20);
    if (req.path === '/number') { setTimeout(() => res.send('by res'), 20); return 5; }
    if (req.path === '/status') { res.status(404).set('x-a', '1'); return { no: 1 }; }
    return 'returned';
  };`);
  assert.equal(await (await runtime.fetch('/timer')).text(), 'by res');
  assert.equal(await (await runtime.fetch('/number')).text(), 'by res');
  assert.equal(await (await runtime.fetch('/')).text(), 'returned');
  const response = await runtime.fetch('/status');
  assert.deepEqual([response.status, response.headers.get('x-a'), await response.text()], [404, '1', '{"no":1}']);
});

/** @type {[string, string][]} name, source of a handler that answers late and by res */
const LATE = [
  ['rest parameters', 'const wrap = (f) => (...args) => f(...args); exports.handler = wrap((req, res) => { setTimeout(() => res.send("late"), 20); });'],
  ['rest parameters and await', 'const wrap = (f) => async (...args) => { await f(...args); }; exports.handler = wrap((req, res) => { setTimeout(() => res.send("late"), 20); });'],
  ['a rest behind a parameter', 'const wrap = (f) => function wrapped(req, ...rest) { f(req, ...rest); }; exports.handler = wrap((req, res) => { setTimeout(() => res.send("late"), 20); });'],
  ['a rest that is taken apart', 'exports.handler = async (...[req, res]) => { setTimeout(() => res.send("late"), 20); };'],
  ['arguments', 'const wrap = (f) => function () { f.apply(this, arguments); }; exports.handler = wrap((req, res) => { setTimeout(() => res.send("late"), 20); });'],
  ['one of arguments', 'exports.handler = function () { setTimeout(() => arguments[1].send("late"), 20); };'],
  ['the framework', `const functions = require('@google-cloud/functions-framework');
    const wrap = (f) => (...args) => f(...args);
    functions.http('handler', wrap((req, res) => setTimeout(() => res.send('late'), 20)));`],
  ['the framework, and what it returns', `const functions = require('@google-cloud/functions-framework');
    functions.http('handler', async (req, res) => { setTimeout(() => res.send('late'), 20); return { not: 'the answer' }; });`],
];

test('a handler that takes res in another way answers by it', async (t) => {
  for (const [name, source] of LATE) {
    const runtime = await serve(t, source);
    const response = await runtime.fetch();
    assert.deepEqual([response.status, await response.text()], [200, 'late'], name);
    assert.equal(runtime.stderr, '', name);
  }
});

test('a spread that is no parameter leaves a handler its answer', async (t) => {
  const sources = [
    '() => Math.max(...[1, 5])', 'async () => Math.max(...[1, 5])', '(req) => Math.max(...[1, 5])', 'req => Math.max(...[1, 5])',
    '({ url, ...more }) => 5', 'function () { return Math.max(...[1, 5]); }', '(req = {}) => 5',
  ];
  for (const source of sources) {
    const runtime = await serve(t, `exports.handler = ${source};`);
    assert.equal(await (await runtime.fetch()).text(), '5', source);
  }
});

test('a rejection of what the framework declares is a 500', async (t) => {
  const runtime = await serve(t, "require('@google-cloud/functions-framework').http('handler', async () => { throw new Error('why'); });");
  assert.equal((await runtime.fetch()).status, 500);
});

/** @type {[string, string][]} name, body of handler(req, res) that answers "abc" */
const FRAMED = [
  ['Transfer-Encoding and a returned text', 'res.set("Transfer-Encoding", "chunked"); return "abc";'],
  ['Transfer-Encoding and pieces', 'res.setHeader("transfer-encoding", "identity"); res.write("a"); res.end("bc");'],
  ['Connection', 'res.set("Connection", "close").set({ "Keep-Alive": "timeout=1", Upgrade: "x", TE: "trailers", Trailer: "x" }).send("abc");'],
  ['append', 'res.append("Connection", "close"); res.appendHeader("transfer-encoding", "gzip"); res.send("abc");'],
  ['writeHead with an object', 'res.writeHead(200, { "Transfer-Encoding": "gzip", Connection: "close", "X-A": "1" }).end("abc");'],
  ['writeHead with a text and an object', 'res.writeHead(200, "OK", { "Transfer-Encoding": "gzip", Connection: "close", "X-A": "1" }).end("abc");'],
  ['writeHead with a list', 'res.writeHead(200, ["Transfer-Encoding", "gzip", "Connection", "close", "X-A", "1"]).end("abc");'],
  ['writeHead after set', 'res.set("X-A", "1"); res.writeHead(200, { Connection: "close", "X-B": "1" }); res.end("abc");'],
  ['writeHead and a returned text', 'res.writeHead(200, { "X-A": "1" }); return "abc";'],
  ['writeHead and a returned generator', 'res.writeHead(200); return (function* () { yield "a"; yield "bc"; })();'],
  ['flushHeaders and a returned generator', 'res.flushHeaders(); return (function* () { yield "a"; yield "bc"; })();'],
  ['pieces and a returned text', 'res.write("a"); setTimeout(() => res.end("bc"), 5); return "no";'],
];

test('the framing of a response is the server\'s', async (t) => {
  const runtime = await serve(t, 'exports.handler = (req, res) => new Function("req", "res", req.body)(req, res);');
  for (const [name, body] of FRAMED) {
    const post = `POST / HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\nContent-Length: ${body.length}\r\n`;
    const text = await runtime.raw(`${post}\r\n${body}${post}Connection: close\r\n\r\n${body}`);
    const heads = [...text.matchAll(/HTTP\/1\.1 200 OK\r\n([^]*?)\r\n\r\n/g)].map(([, head]) => head.toLowerCase());
    assert.equal(heads.length, 2, `${name}: ${text}`);
    assert.doesNotMatch(text, /^(upgrade|trailer|te|keep-alive):|gzip|identity/im, name);
    for (const head of heads) assert.equal(/^content-length: 3$/m.test(head), !/^transfer-encoding: chunked$/m.test(head), `${name}: ${text}`);
    if (body.includes('X-A')) for (const head of heads) assert.match(head, /^x-a: 1$/m, name);
    assert.match(text.replace(/\r\n\d+(?=\r\n)|\r\n/g, ''), /abc[^]*abc0?$/, name);
  }
});

test('a status before the answer is none', async (t) => {
  const runtime = await serve(t, 'exports.handler = (req, res) => new Function("req", "res", req.body)(req, res);');
  for (const body of ['res.status(103).send("x")', 'res.statusCode = 103; return "x"', 'res.writeHead(100); res.end()', 'res.writeHead(101, { Upgrade: "x" }); res.end()']) {
    const post = `POST / HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\nContent-Length: ${body.length}\r\n`;
    const text = await runtime.raw(`${post}\r\n${body}${post}Connection: close\r\n\r\n${body}`);
    assert.equal(text.match(/HTTP\/1\.1 \d+/g)?.join(), 'HTTP/1.1 500,HTTP/1.1 500', body);
  }
  await runtime.prints('stderr', 'RangeError: 101 is no status of a response');
});

test('HEAD has the headers of GET and no body', async (t) => {
  const sources = [
    'exports.handler = () => "hello"', 'exports.handler = (req, res) => res.send("hello")',
    'exports.handler = function* () { yield "hello"; }', 'export default { fetch: () => new Response("hello") }',
  ];
  for (const source of sources) {
    const runtime = await serve(t, source);
    const text = await runtime.raw('HEAD / HTTP/1.1\r\nHost: a\r\n\r\nHEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
    assert.equal(text.match(/HTTP\/1\.1 200 OK\r\n/g)?.length, 2, source);
    assert.match(text, /content-length: 5\r\n/i, source);
    assert.ok(text.endsWith('\r\n\r\n') && !text.includes('hello'), source);
  }
});

test('204 and 304 have neither body nor length', async (t) => {
  const runtime = await serve(t, `exports.handler = (req, res) => { res.status(Number(req.path.slice(1))); res.end(req.query.x); };`);
  for (const status of [204, 304]) {
    const text = await runtime.raw(`GET /${status}?x=hello HTTP/1.1\r\nHost: a\r\n\r\nGET /200?x=next HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`);
    const [first, rest] = [text.slice(0, text.indexOf('\r\n\r\n') + 4), text.slice(text.indexOf('\r\n\r\n') + 4)];
    assert.ok(first.startsWith(`HTTP/1.1 ${status} `) && !/content-length|transfer-encoding/i.test(first), first);
    assert.ok(rest.startsWith('HTTP/1.1 200 OK\r\n') && rest.endsWith('next'), rest);
  }
});

test('a chunked upload arrives whole', async (t) => {
  const runtime = await serve(t, 'exports.handler = (req) => req.body');
  const text = await runtime.raw('POST / HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n3\r\nabc\r\n5;x=y\r\ndefgh\r\n0\r\n\r\n');
  assert.ok(text.endsWith('\r\n\r\nabcdefgh'), text);
});

test('a caller that asks first is told to go on', async (t) => {
  for (const source of ['exports.handler = (req) => req.body', 'export default { fetch: async (r) => new Response(await r.text()) }']) {
    const runtime = await serve(t, source);
    const socket = (await runtime.connect()).setEncoding('latin1');
    socket.write('POST / HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\nContent-Length: 5\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n');
    const chunks = socket[Symbol.asyncIterator]();
    assert.equal((await chunks.next()).value, 'HTTP/1.1 100 Continue\r\n\r\n');
    socket.write('hello');
    let text = '';
    for await (const chunk of { [Symbol.asyncIterator]: () => chunks }) text += chunk;
    assert.ok(text.startsWith('HTTP/1.1 200 OK\r\n') && text.endsWith('hello'), text);
  }
});

test('a caller that asks first is not told to send what is not wanted', async (t) => {
  const runtime = await serve(t, 'export default { fetch: () => new Response("no", { status: 403 }) }');
  const text = await runtime.raw('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n');
  assert.ok(text.startsWith('HTTP/1.1 403 '), text);
});

test('requests of one connection are answered in turn', async (t) => {
  const runtime = await serve(t, `exports.handler = async (req) => {
    await new Promise((go) => setTimeout(go, req.query.wait));
    return req.path;
  };`);
  const one = (/** @type {string} */ path, /** @type {string} */ more = '') => `GET ${path} HTTP/1.1\r\nHost: a\r\n${more}\r\n`;
  const text = await runtime.raw(one('/a?wait=50') + one('/b?wait=1') + one('/c?wait=20', 'Connection: close\r\n'));
  assert.deepEqual(text.match(/\/[abc]$|\/[abc](?=HTTP)/g), ['/a', '/b', '/c']);
});

test('a connection is kept for the next request', async (t) => {
  const runtime = await serve(t, 'exports.handler = (req) => String(req.socket.remotePort)');
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  t.after(() => agent.destroy());
  const ports = new Set();
  for (let i = 0; i < 5; i++) {
    ports.add(await new Promise((resolve, reject) => {
      http.get({ port: runtime.port, agent }, async (response) => {
        let text = '';
        for await (const chunk of response) text += chunk;
        assert.equal(response.headers['keep-alive'], undefined, 'the activator decides when it ends');
        resolve(text);
      }).on('error', reject);
    }));
  }
  assert.equal(ports.size, 1);
});

test('a body over the limit gets 413 and the process lives', async (t) => {
  const runtime = await serve(t, 'exports.handler = (req) => String(req.rawBody.length)', { FUNCTION_MAX_BODY_BYTES: '100000' });
  const length = (/** @type {number} */ n) => runtime.fetch('/', { method: 'POST', body: Buffer.alloc(n) });
  assert.equal(await (await length(100000)).text(), '100000');
  const over = await length(100001);
  assert.deepEqual([over.status, await over.text(), over.headers.get('connection')], [413, 'The body is longer than 100000 bytes.\n', 'close']);

  const chunked = await runtime.raw(`POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n${`2710\r\n${'x'.repeat(10000)}\r\n`.repeat(11)}0\r\n\r\n`);
  assert.ok(chunked.startsWith('HTTP/1.1 413 '), chunked);
  const asked = await runtime.raw('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100001\r\nExpect: 100-continue\r\n\r\n');
  assert.ok(asked.startsWith('HTTP/1.1 413 '), asked);
  const bomb = await runtime.fetch('/', { method: 'POST', headers: { 'content-encoding': 'gzip' }, body: zlib.gzipSync(Buffer.alloc(200000)) });
  assert.equal(bomb.status, 413);
  assert.equal(await (await length(1)).text(), '1');
  assert.equal(runtime.stderr, '');
});

test('the limit is 32 MiB where nothing is said', async (t) => {
  const runtime = await serve(t, 'exports.handler = (req) => String(req.rawBody.length)');
  const all = await runtime.fetch('/', { method: 'POST', body: Buffer.alloc(32 * 1024 * 1024) });
  assert.equal(await all.text(), String(32 * 1024 * 1024));
  const asked = await runtime.raw(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${32 * 1024 * 1024 + 1}\r\nExpect: 100-continue\r\n\r\n`);
  assert.ok(asked.startsWith('HTTP/1.1 413 '), asked);
});

test('a body that goes on after 413 is not kept, and the answer is read', async (t) => {
  const runtime = await serve(t, 'exports.handler = () => ""', { FUNCTION_MAX_BODY_BYTES: '10' });
  const response = await runtime.fetch('/', { method: 'POST', body: Buffer.alloc(20_000_000) });
  assert.equal(response.status, 413);
  assert.equal(await response.text(), 'The body is longer than 10 bytes.\n');
  // Else after 5 s. A busy machine may be slow as well, but not each time.
  let least = Infinity;
  for (let time = 0; time < 5 && least >= 4000; time++) {
    const begun = Date.now();
    await runtime.raw(Buffer.concat([Buffer.from('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 20000000\r\n\r\n'), Buffer.alloc(20_000_000)]));
    least = Math.min(least, Date.now() - begun);
  }
  assert.ok(least < 4000, 'the connection ends with the body');
});

test('1,000 requests, 50 at once', async (t) => {
  const runtime = await serve(t, `exports.handler = async (req) => {
    console.log('begin', req.path);
    await new Promise((go) => setTimeout(go, Math.random() * 5));
    console.log('end', req.path);
    return req.body;
  };`);
  let next = 0;
  await Promise.all(Array.from({ length: 50 }, async () => {
    while (next < 1000) {
      const number = next++;
      const body = `${number}-`.repeat(number + 1);
      const response = await runtime.fetch(`/${number}`, { id: `id-${number}`, method: 'POST', headers: { 'content-type': 'text/plain' }, body });
      assert.equal(response.status, 200);
      assert.equal(await response.text(), body);
    }
  }));
  // What is printed comes by another way than the answers.
  await until(() => runtime.stdout.split('\n').length > 2000, 'all lines');
  const lines = runtime.stdout.trimEnd().split('\n').sort();
  const expected = Array.from({ length: 1000 }, (_, n) => [`[id-${n}] begin /${n}`, `[id-${n}] end /${n}`]).flat().sort();
  assert.deepEqual(lines, expected);
});
