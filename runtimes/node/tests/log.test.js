'use strict';

const assert = require('node:assert/strict');
const test = require('node:test');
const { serve, start, until } = require('./runtime.js');

test('every line of a request begins with its id, on its own stream', async (t) => {
  const runtime = await serve(t, `
    console.log('at load');
    exports.handler = async () => {
      console.log('one\\ntwo');
      console.error('err');
      process.stdout.write('half ');
      await new Promise((go) => setTimeout(go, 5));
      process.stdout.write(Buffer.from('line\\n\\nlast'));
      setTimeout(() => console.log('after'), 50);
      return 'x';
    };`);
  await runtime.fetch('/', { id: 'a-b' });
  await runtime.prints('stdout', 'after\n');
  await runtime.prints('stderr', '\n');
  assert.equal(runtime.stdout, 'at load\n[a-b] one\n[a-b] two\n[a-b] half line\n[a-b] \n[a-b] last\n[a-b] after\n');
  assert.equal(runtime.stderr, '[a-b] err\n');
});

test('lines of requests at once are never mixed', async (t) => {
  const runtime = await serve(t, `
    const turn = () => new Promise(setImmediate);
    exports.handler = async (req) => {
      for (let line = 0; line < 20; line++) {
        for (const part of ['begin', ' middle', ' end\\n']) { process.stdout.write(part); await turn(); }
        console.log('log', line);
      }
    };`);
  await Promise.all(Array.from({ length: 20 }, (_, n) => runtime.fetch('/', { id: `r${n}` })));
  // What is printed comes by another way than the answers.
  await until(() => runtime.stdout.split('\n').length > 20 * 40, 'all lines');
  const lines = runtime.stdout.trimEnd().split('\n');
  assert.equal(lines.length, 20 * 40);
  for (let n = 0; n < 20; n++) {
    const own = lines.filter((line) => line.startsWith(`[r${n}] `)).map((line) => line.slice(`[r${n}] `.length));
    assert.deepEqual(own, Array.from({ length: 20 }, (_, line) => ['begin middle end', `log ${line}`]).flat());
  }
});

test('a character that comes in two writes is whole', async (t) => {
  const runtime = await serve(t, `exports.handler = () => {
    const bytes = Buffer.from('\u{1f41d}\\n'); process.stdout.write(bytes.subarray(0, 2)); process.stdout.write(bytes.subarray(2));
  };`);
  await runtime.fetch();
  await runtime.prints('stdout', '\n');
  assert.equal(runtime.stdout, '[test] \u{1f41d}\n');
});

test('a line is at most 16 KiB long, its id and line break included', async (t) => {
  const runtime = await serve(t, `exports.handler = () => {
    console.log('x'.repeat(16377)); console.log('x' + '\u{1f41d}'.repeat(5000)); process.stdout.write('y'.repeat(40000)); process.stdout.write('z\\n');
  };`);
  await runtime.fetch();
  await runtime.prints('stdout', 'z\n');
  const lines = runtime.stdout.trimEnd().split('\n');
  for (const line of lines) assert.ok(Buffer.byteLength(line) < 16 * 1024 && line.startsWith('[test] '), `${Buffer.byteLength(line)} bytes`);
  const text = lines.map((line) => line.slice('[test] '.length));
  assert.deepEqual(text.slice(0, 2).map((line) => line.length), [16376, 1], 'as much as there is room for');
  assert.equal(text.join(''), `${'x'.repeat(16377)}x${'\u{1f41d}'.repeat(5000)}${'y'.repeat(40000)}z`);
});

test('a line that never ends is written all the same', async (t) => {
  const runtime = await serve(t, 'exports.handler = () => { process.stdout.write("y".repeat(20000)); return new Promise(() => {}); };');
  // The end of the request would end the line.
  runtime.fetch('/', { signal: AbortSignal.timeout(60_000) }).catch(() => {});
  await runtime.prints('stdout', '[test] yyy');
});

test('a line that is begun after the answer is written at once', async (t) => {
  const runtime = await serve(t, `exports.handler = (req, res) => {
    res.send('x');
    setTimeout(() => process.stdout.write('late'), 50);
  };`);
  await runtime.fetch();
  await runtime.prints('stdout', '[test] late\n');
});

test('a begun line is written when the process ends', async (t) => {
  const runtime = await start(t, 'process.stdout.write("begun"); process.stderr.write("too"); exports.handler = () => {};');
  await runtime.listening();
  runtime.child.kill('SIGTERM');
  assert.equal(await runtime.exit(), 0);
  assert.deepEqual([runtime.stdout, runtime.stderr], ['begun\n', 'too\n']);
});

test('write calls back, and console keeps its groups', async (t) => {
  const runtime = await serve(t, `exports.handler = async () => {
    await new Promise((go) => process.stdout.write('a', go));
    await new Promise((go) => process.stdout.write('b\\n', 'utf8', go));
    console.group('g'); console.log('%s=%d', 'x', 1); console.groupEnd(); console.table([{ c: 1 }]);
    return 'called back';
  };`);
  assert.equal(await (await runtime.fetch()).text(), 'called back');
  await runtime.prints('stdout', '┌');
  assert.match(runtime.stdout, /^\[test\] ab\n\[test\] g\n\[test\]   x=1\n\[test\] ┌/);
});

test('a request without an id is given one', async (t) => {
  const runtime = await serve(t, 'exports.handler = () => console.log("x");');
  await runtime.raw('GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
  await runtime.prints('stdout', '\n');
  assert.match(runtime.stdout, /^\[[0-9a-f]{16}\] x\n$/);
});
