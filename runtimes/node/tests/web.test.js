'use strict';

const assert = require('node:assert/strict');
const http = require('node:http');
const test = require('node:test');
const zlib = require('node:zlib');
const { serve, until } = require('./runtime.js');

/** @param {string} body of fetch(request) */
const web = (body) => `export default { async fetch(request) { ${body} } };`;
const sleep = (/** @type {number} */ milliseconds) => new Promise((go) => setTimeout(go, milliseconds));

test('a request is the web\'s Request', async (t) => {
  const runtime = await serve(t, web(`return Response.json({
    real: request instanceof Request, method: request.method, url: request.url, id: request.headers.get('x-request-id'),
    twice: request.headers.get('x-twice'), text: await request.text(), aborted: request.signal.aborted,
  });`));
  const response = await runtime.fetch('/a?b=c', {
    method: 'PUT', body: '\u{1f41d}', headers: [['x-twice', '1'], ['x-twice', '2'], ['x-forwarded-host', 'api.example'], ['x-forwarded-proto', 'https']],
  });
  assert.deepEqual(await response.json(), {
    real: true, method: 'PUT', url: 'https://api.example/a?b=c', id: 'test', twice: '1, 2', text: '\u{1f41d}', aborted: false,
  });
});

test('a response has status, text, headers and cookies', async (t) => {
  const runtime = await serve(t, web(`
    const headers = new Headers({ 'x-a': '1' });
    headers.append('set-cookie', 'a=1'); headers.append('set-cookie', 'b=2'); headers.append('x-b', '1'); headers.append('x-b', '2');
    return new Response('made', { status: 201, statusText: 'Made', headers });`));
  const response = await runtime.fetch();
  assert.deepEqual([response.status, response.statusText, await response.text()], [201, 'Made', 'made']);
  assert.deepEqual(response.headers.getSetCookie(), ['a=1', 'b=2']);
  assert.equal(response.headers.get('x-b'), '1, 2');
  assert.equal(response.headers.get('content-length'), '4', 'a body of one part has a length');
});

test('what fetch has received goes on as it was decoded', async (t) => {
  const packed = zlib.gzipSync('hello '.repeat(100));
  const upstream = http.createServer((req, res) => {
    res.writeHead(200, { 'content-encoding': 'gzip', 'content-type': 'text/x-kept', 'keep-alive': 'timeout=9' });
    res.end(packed);
  });
  await new Promise((resolve) => { upstream.listen(0, '127.0.0.1', () => resolve(undefined)); });
  t.after(() => upstream.close());
  const address = upstream.address();
  assert.ok(address && typeof address === 'object');
  const runtime = await serve(t, web(`return fetch('http://127.0.0.1:${address.port}/');`));
  const response = await runtime.fetch();
  assert.equal(await response.text(), 'hello '.repeat(100));
  assert.deepEqual([response.headers.get('content-encoding'), response.headers.get('content-type')], [null, 'text/x-kept']);
  assert.notEqual(response.headers.get('keep-alive'), 'timeout=9');
});

test('bodies stream both ways at once', async (t) => {
  const runtime = await serve(t, web(`return new Response(request.body.pipeThrough(new TransformStream({
    transform(chunk, controller) { controller.enqueue(new TextEncoder().encode(new TextDecoder().decode(chunk).toUpperCase())); },
  })));`));
  /** @type {ReadableStreamDefaultController<Uint8Array>} */
  let upload;
  const body = new ReadableStream({ start(controller) { upload = controller; } });
  const sending = runtime.fetch('/', { method: 'POST', body });
  for (const [at, part] of ['one', 'two', 'three'].entries()) {
    // @ts-expect-error: assigned by the stream's start
    upload.enqueue(new TextEncoder().encode(part));
    if (at === 0) continue;
    await sleep(20);
  }
  const reader = (await sending).body?.getReader();
  let text = '';
  while (text.length < 11) text += new TextDecoder().decode((await reader?.read())?.value);
  assert.equal(text, 'ONETWOTHREE');
  // @ts-expect-error: assigned by the stream's start
  upload.close();
  assert.equal((await reader?.read())?.done, true);
});

test('headers are sent before a late first part', async (t) => {
  const runtime = await serve(t, `let go; export default { fetch(request) {
    if (new URL(request.url).pathname === '/go') { go(); return new Response(); }
    return new Response(new ReadableStream({ async pull(controller) {
      await new Promise((resolve) => { go = resolve; });
      controller.enqueue(new TextEncoder().encode('late')); controller.close();
    } }), { headers: { 'content-type': 'text/event-stream' } });
  } };`);
  const response = await runtime.fetch();
  assert.equal(response.headers.get('content-type'), 'text/event-stream');
  await runtime.fetch('/go');
  assert.equal(await response.text(), 'late');
});

test('a long upload waits for a slow reader', async (t) => {
  const runtime = await serve(t, web(`
    const reader = request.body.getReader();
    await reader.read();
    await new Promise((go) => setTimeout(go, 300));
    const { arrayBuffers, rss } = process.memoryUsage();
    let length = 0;
    for (let part = { value: new Uint8Array() }; !part.done; part = await reader.read()) length += part.value.length;
    return Response.json({ arrayBuffers, length });`), { FUNCTION_MAX_BODY_BYTES: '50000000' });
  const response = await runtime.fetch('/', { method: 'POST', body: Buffer.alloc(50_000_000) });
  const { arrayBuffers, length } = await response.json();
  assert.ok(arrayBuffers < 10_000_000, `${arrayBuffers} bytes waited`);
  assert.ok(length > 49_000_000);
});

test('a slow caller holds a fast stream back', async (t) => {
  const runtime = await serve(t, `let made = 0; export default { fetch(request) {
    if (new URL(request.url).pathname === '/made') return new Response(String(made));
    return new Response(new ReadableStream({ pull(controller) { made += 1; controller.enqueue(new Uint8Array(100_000)); } }));
  } };`);
  const socket = await runtime.connect();
  socket.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
  const count = async () => Number(await (await runtime.fetch('/made')).text());
  let made = 0;
  await until(async () => {
    const before = made;
    await sleep(300);
    made = await count();
    return made >= 500 || (made > 0 && made === before);
  }, 'the stream to stand still');
  assert.ok(made < 500, `${made} parts`);
  socket.destroy();
});

test('the signal tells that the caller went away', async (t) => {
  const runtime = await serve(t, web(`
    if (request.method === 'GET') return new Response('done');
    request.signal.addEventListener('abort', () => console.log('aborted', request.signal.aborted));
    console.log('waiting');
    await new Promise((go) => setTimeout(go, 10_000));`));
  await (await runtime.fetch()).text();
  const gone = new AbortController();
  const response = runtime.fetch('/', { method: 'POST', signal: gone.signal, id: 'x' }).catch(() => {});
  await runtime.prints('stdout', 'waiting');
  gone.abort();
  await response;
  await runtime.prints('stdout', '[x] aborted true\n');
});

test('reading the body of a caller that goes away fails', async (t) => {
  const runtime = await serve(t, web('try { console.log("reads"); await request.text(); } catch (error) { console.log("failed", error.message); }'));
  const socket = await runtime.connect();
  socket.write('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nhalf');
  await runtime.prints('stdout', 'reads');
  socket.destroy();
  await runtime.prints('stdout', 'failed The caller went away before the end of its body');
  assert.equal(runtime.stderr, '');
});

test('a body that is not read does not stand in the way of the next request', async (t) => {
  const sources = [web('return new Response("ok");'), web('await request.body.getReader().read(); return new Response("ok");'), web('await request.body?.cancel(); return new Response("ok");')];
  for (const source of sources) {
    const runtime = await serve(t, source);
    const body = 'x'.repeat(1_000_000);
    const one = `POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${body.length}\r\n`;
    const text = await runtime.raw(`${one}\r\n${body}${one}Connection: close\r\n\r\n${body}`);
    assert.equal(text.match(/HTTP\/1\.1 200 OK/g)?.length, 2, text);
    assert.equal(runtime.stderr, '');
  }
});

test('a body that the handler cancels is taken off the connection at once', async (t) => {
  const runtime = await serve(t, `let go; export default { async fetch(request) {
    if (request.method === 'GET') { go(); return new Response(); }
    await request.body.cancel();
    await new Promise((resolve) => { go = resolve; });
    return new Response('ok');
  } };`);
  const body = Buffer.alloc(50_000_000);
  const socket = (await runtime.connect()).setEncoding('latin1');
  socket.write(`POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: ${body.length}\r\n\r\n`);
  let sent = false;
  socket.write(body, () => { sent = true; });
  await until(() => sent, 'the body to be taken');
  await runtime.fetch();
  let text = '';
  for await (const chunk of socket) text += chunk;
  assert.match(text, /^HTTP\/1\.1 200 /);
});

test('a body over the limit fails to be read: 413, unless the handler has another answer', async (t) => {
  const limits = { FUNCTION_MAX_BODY_BYTES: '100000' };
  const runtime = await serve(t, `export default { async fetch(request) {
    const { pathname } = new URL(request.url);
    if (pathname === '/unread') return new Response('unread');
    if (pathname === '/caught') return request.text().catch((error) => new Response(error.message, { status: 418 }));
    let length = 0;
    for await (const part of request.body) length += part.length;
    return new Response(String(length));
  } };`, limits);
  const send = (/** @type {string} */ target, /** @type {number} */ length) => runtime.fetch(target, { method: 'POST', body: Buffer.alloc(length) });
  const told = async (/** @type {Response} */ response) => [response.status, await response.text()];
  assert.deepEqual(await told(await send('/', 100_000)), [200, '100000']);
  assert.deepEqual(await told(await send('/', 5_000_000)), [413, 'The body is longer than 100000 bytes.\n']);
  assert.deepEqual(await told(await send('/caught', 100_001)), [418, 'The body is longer than 100000 bytes.']);
  assert.deepEqual(await told(await send('/unread', 100_001)), [200, 'unread']);
  const chunked = await runtime.raw(`POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n${`2710\r\n${'x'.repeat(10000)}\r\n`.repeat(11)}0\r\n\r\n`);
  assert.ok(chunked.startsWith('HTTP/1.1 413 '), chunked);
  const asked = await runtime.raw('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100001\r\nExpect: 100-continue\r\n\r\n');
  assert.ok(asked.startsWith('HTTP/1.1 413 '), asked);
  assert.equal(runtime.stderr, '');
});

test('the address of a request is of the host that was asked', async (t) => {
  const runtime = await serve(t, web('return new Response(request.url);'));
  const cases = [['OPTIONS *', 'http://a/'], ['GET /x?y', 'http://a/x?y'], ['GET //b/x', 'http://a//b/x'], ['GET http://b/x?y', 'http://a/x?y'], ['GET /*', 'http://a/*']];
  for (const [head, url] of cases) {
    const text = await runtime.raw(`${head} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`);
    assert.ok(text.startsWith('HTTP/1.1 200 ') && text.endsWith(`\r\n\r\n${url}`), text);
  }
});

test('what is no Response and what cannot be a Request', async (t) => {
  const runtime = await serve(t, web(`
    const { pathname } = new URL(request.url);
    if (pathname === '/text') return 'text';
    if (pathname === '/error') return Response.error();
    if (pathname === '/used') { const used = new Response('x'); await used.text(); return used; }
    if (pathname === '/empty') return;
    return new Response('get with a body');`));
  assert.equal(await (await runtime.fetch('/text')).text(), 'text');
  assert.equal((await runtime.fetch('/error')).status, 500);
  assert.equal((await runtime.fetch('/used')).status, 500);
  assert.equal((await runtime.fetch('/empty')).status, 204);
  const raw = (/** @type {string} */ head, body = '') => runtime.raw(`${head} HTTP/1.1\r\nConnection: close\r\n${body ? `Content-Length: ${body.length}\r\n` : ''}\r\n${body}`);
  assert.match(await raw('TRACE /'), /^HTTP\/1\.1 (405|400)/);
  assert.match(await runtime.raw('GET / HTTP/1.1\r\nHost: a b\r\nConnection: close\r\n\r\n'), /^HTTP\/1\.1 400 /);
  assert.match(await runtime.raw('GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc'), /get with a body$/);
});
