'use strict';

const assert = require('node:assert/strict');
const test = require('node:test');
const { start, serve } = require('./runtime.js');

/** @type {[string, string, Record<string, string>, string, RegExp?][]} name, source, environment, first line, trace */
const FAILURES = [
  ['a syntax error', 'const a = 1;\n\nconst b = ;\n', {}, 'The source has a syntax error in line 3.', /^function\.js:3\nconst b = ;\n {10}\^\n\nSyntaxError: /],
  ['a syntax error in a module', 'import os from "os";\nexport const handler => 1;\n', {}, 'The source has a syntax error in line 2.', /^function\.mjs:2\n/],
  ['await in a function that is not async', 'exports.a = () => {\n  await 1;\n};', {}, 'The source has a syntax error in line 2.'],
  ['a module that clashes with itself', 'const require = 1;\nconst require = 2;', {}, 'The source has a syntax error in line 2.'],
  ['no handler', 'exports.hello = () => {};\nexports.main = () => {};\nexports.text = "";', {}, 'The source has no function named handler; it has: hello, main.'],
  ['no export', '', {}, 'The source has no function named handler; it exports no function.'],
  ['no handler of that name', 'exports.handler = () => {};', { FUNCTION_TARGET: 'main' }, 'The source has no function named main; it has: handler.'],
  ['no handler in a module', 'export const one = () => {};\nexport default { two() {} };', {}, 'The source has no function named handler; it has: one, two.'],
  ['a handler that is no function', 'exports.handler = "text";', {}, "The source's handler is of type string, not a function."],
  ['a file that exports a number', 'module.exports = 1;', {}, 'The source exports a number, not a function.'],
  ['an exception', '\nfunction inner() {\n  null.x;\n}\ninner();', {}, 'The source threw TypeError while it was loaded, in line 3.', /^TypeError: .*\n    at inner \(function\.js:3:8\)\n    at .*function\.js:5:1\)$/],
  ['an exception of its own class', 'class Bad extends Error {}\nthrow new Bad("why");', {}, 'The source threw Bad while it was loaded, in line 2.', /^Bad.*: why\n/],
  ['a SyntaxError of running code', 'JSON.parse("{");', {}, 'The source threw SyntaxError while it was loaded, in line 1.'],
  ['a string thrown', 'throw "text";', {}, 'The source threw a string while it was loaded.', /^text$/],
  ['undefined thrown', 'throw undefined;', {}, 'The source threw undefined while it was loaded.'],
  ['an exception in a module', 'await 1;\nthrow new RangeError("why");\nexport {};', {}, 'The source threw RangeError while it was loaded, in line 2.', /^RangeError: why\n    at function\.mjs:2:7$/],
  ['a rejection nobody handles', 'Promise.reject(new Error("why"));\nawait new Promise((go) => setTimeout(go, 1000));\nexport {};', {}, 'The source threw Error while it was loaded, in line 1.'],
  ['a rejection at the top level', 'Promise.reject(new Error("floating"));\nexports.handler = () => 1;', {}, 'The source threw Error while it was loaded, in line 1.', /floating/],
  ['a rejection at the top level of a module', 'Promise.reject(new Error("floating"));\nexport const handler = () => 1;', {}, 'The source threw Error while it was loaded, in line 1.', /floating/],
  ['an async function that fails at the top level', 'async function main() {\n  await 1;\n  null.x;\n}\nmain();\nexports.handler = () => 1;', {}, 'The source threw TypeError while it was loaded, in line 3.'],
  ['an exception in a callback', 'setTimeout(() => {\n  throw new Error("why");\n});\nawait new Promise((go) => setTimeout(go, 1000));\nexport {};', {}, 'The source threw Error while it was loaded, in line 2.'],
  ['process.exit', 'process.exit(3);', {}, 'The source called process.exit(3) while it was loaded, in line 1.'],
  ['process.exit(0)', '\nprocess.exit(0);', {}, 'The source called process.exit(0) while it was loaded, in line 2.'],
  ['process.exit without a code', 'process.exit();', {}, 'The source called process.exit(0) while it was loaded, in line 1.'],
  ['await that never ends', 'await new Promise(() => {});\nexport const handler = 1;', {}, 'The source waits at its top level for something that cannot happen any more.'],
  ['a module that is not there', '\nrequire("express");', {}, "The source needs express in line 2, which is not there: it can use Node's built-in modules.", /one file/],
  ['a file that is not there', 'require("../secret.js");', {}, "The source needs ../secret.js in line 1, which is not there: it can use Node's built-in modules."],
  ['an import that is not there', 'import express from "express";\nexport {};', {}, "The source needs express, which is not there: it can use Node's built-in modules."],
  ['a name that is not there', 'import { nope } from "fs";\nexport {};', {}, 'The source threw SyntaxError while it was loaded.', /nope/],
  ['fetch for events', 'export default { fetch() {} };', { FUNCTION_SIGNATURE_TYPE: 'cloudevent' }, 'The source has fetch, which answers HTTP requests, but the signature is cloudevent.'],
  ['an event declared for HTTP', "require('@google-cloud/functions-framework').cloudEvent('handler', () => {});", { FUNCTION_SIGNATURE_TYPE: 'http' }, 'The source declares handler as cloudevent, but the signature is http.'],
  ['a signature that is not known', 'exports.handler = () => {};', { FUNCTION_SIGNATURE_TYPE: 'typed' }, 'FUNCTION_SIGNATURE_TYPE must be http, cloudevent or event.'],
  ['an encoding that is not known', 'exports.handler = () => {};', { ROUSE_SOURCE_ENCODING: 'gzip' }, 'ROUSE_SOURCE_ENCODING must be base64 or unset.'],
  ['a limit that is no number', 'exports.handler = () => {};', { FUNCTION_MAX_BODY_BYTES: '1M' }, 'FUNCTION_MAX_BODY_BYTES must be a whole number of at most 9007199254740991.'],
];

for (const [name, source, env, sentence, trace] of FAILURES) {
  test(`does not start with ${name}`, async (t) => {
    const runtime = await start(t, source, env);
    assert.equal(await runtime.exit(), 78);
    const [first, ...rest] = runtime.termination().trimEnd().split('\n');
    assert.equal(first, sentence);
    if (trace) assert.match(rest.join('\n'), trace);
    assert.doesNotMatch(rest.join('\n'), /node:internal|(main|source|esm)\.js:/, 'frames that are not the user\'s');
    assert.equal(runtime.stderr, runtime.termination());
    assert.equal(runtime.stdout, '');
  });
}

test('does not start without a source', async (t) => {
  const runtime = await start(t, '');
  runtime.child.kill('SIGKILL');
  await runtime.exit();
  const { spawnSync } = require('node:child_process');
  const main = require('node:path').join(__dirname, '..', 'main.js');
  const { status, stderr } = spawnSync(process.execPath, [main], { env: { ROUSE_TERMINATION_LOG: runtime.terminationLog }, encoding: 'utf8' });
  assert.equal(status, 78);
  assert.equal(stderr, 'There is no source: ROUSE_SOURCE is not set.\n');
});

for (const pad of ['', 'x', 'xx', 'xxx']) {
  test(`says in at most 2,000 bytes of whole characters why it does not start, ${pad.length} bytes on`, async (t) => {
    const runtime = await start(t, `throw new Error("${pad}" + "\u{1f41d}".repeat(2000));`);
    assert.equal(await runtime.exit(), 78);
    const bytes = Buffer.from(runtime.termination());
    assert.ok(bytes.length <= 2000 && bytes.length > 1990, `${bytes.length} bytes`);
    assert.ok(!runtime.termination().includes('\ufffd'));
    assert.ok(runtime.stderr.length > 4000, 'stderr has all of it');
  });
}

test('a termination log that cannot be written changes nothing', async (t) => {
  const runtime = await start(t, 'throw 1;', { ROUSE_TERMINATION_LOG: '/nowhere/log' });
  assert.equal(await runtime.exit(), 78);
  assert.equal(runtime.stderr, 'The source threw a number while it was loaded.\n1\n');
});

test('listens only once the code is loaded', async (t) => {
  const runtime = await start(t, `
    import { existsSync } from 'fs';
    console.log('loading');
    while (!existsSync('go')) await new Promise((go) => setTimeout(go, 10));
    console.log('loaded');
    export const handler = () => 'late';`);
  await runtime.prints('stdout', 'loading');
  assert.equal(await require('./runtime.js').connects(runtime.port), false);
  runtime.go();
  await runtime.listening();
  await runtime.prints('stdout', 'loaded\n');
  assert.equal(runtime.stdout, 'loading\nloaded\n');
  assert.equal(await (await runtime.fetch()).text(), 'late');
});

/** @type {[string, string, Record<string, string>?][]} ways to write a handler that says "it" */
const WAYS = [
  ['exports.handler', 'exports.handler = () => "it";'],
  ['module.exports', 'module.exports = () => "it";'],
  ['module.exports = { handler }', 'module.exports = { handler: () => "it" };'],
  ['a name of its own', 'exports.main = () => "it";', { FUNCTION_TARGET: 'main' }],
  ['a path of names', 'exports.api = { v1: () => "it" };', { FUNCTION_TARGET: 'api.v1' }],
  ['export const', 'export const handler = () => "it";'],
  ['export async function', 'export async function handler() { return "it"; }'],
  ['export default function', 'export default function () { return "it"; }'],
  ['export default { handler }', 'export default { handler() { return this.text; }, text: "it" };'],
  ['export default { fetch }', 'export default { fetch() { return new Response(this.text); }, text: "it" };'],
  ['export function fetch', 'export function fetch() { return new Response("it"); }'],
  ['module.exports = { fetch }', 'module.exports = { fetch: () => new Response("it") };'],
  ['the framework, required', "const functions = require('@google-cloud/functions-framework');\nfunctions.http('it', (req, res) => res.send('it'));", { FUNCTION_TARGET: 'it' }],
  ['the framework, imported', "import functions, { http } from '@google-cloud/functions-framework';\nfunctions.http('no', () => 'no');\nhttp('it', (req, res) => res.send('it'));", { FUNCTION_TARGET: 'it' }],
  ['the only one declared', "require('@google-cloud/functions-framework').http('it', (req, res) => res.send('it'));"],
  ['require of built-in modules', "const { basename } = require('path');\nconst fs = require('node:fs/promises');\nexports.handler = () => basename('/a/it') || fs;"],
  ['import of built-in modules', "import { basename } from 'path';\nimport fs from 'node:fs';\nimport * as os from 'os';\nexport const handler = () => fs && os.EOL && basename('/a/it');"],
  ['import() in a script', "exports.handler = async () => (await import('path')).default.basename('/a/it');"],
  ['import() in a module', "const path = await import('node:path');\nexport const handler = () => path.basename('/a/it');"],
  ['createRequire', "import { createRequire } from 'module';\nconst require = createRequire(import.meta.url);\nexport const handler = () => require('path').basename('/a/it');"],
  ['an optional module', "let text = 'no';\ntry { require('express'); } catch (error) { if (error.code === 'MODULE_NOT_FOUND') text = 'it'; }\nexports.handler = () => text;"],
  ['a byte order mark', '\ufeffexports.handler = () => "it";'],
  ['a first line for the shell', '#!/usr/bin/env node\nexports.handler = () => "it";'],
  ['line ends of Windows', 'exports.handler = () => {\r\n  return "it";\r\n};\r\n'],
  ['use strict', '"use strict";\nexports.handler = function () { return this === exports ? "it" : "no"; };'],
];

for (const [name, source, env] of WAYS) {
  test(`takes ${name}`, async (t) => {
    const runtime = await serve(t, source, env);
    const response = await runtime.fetch();
    assert.equal(await response.text(), 'it');
    assert.equal(response.status, 200);
    assert.equal(runtime.stderr, '');
  });
}

test('a file is not run by itself', async (t) => {
  const runtime = await serve(t, `
    if (require.main === module) throw new Error('main');
    if (!module.parent) throw new Error('no parent');
    exports.handler = () => typeof require.main.filename;`);
  assert.equal(await (await runtime.fetch()).text(), 'string');
});

test('hands every byte of the source on', async (t) => {
  const text = '../../etc \u0001 \u{1f41d}é\u2028 \u0000 \ufeff \\';
  const source = `const 蜂 = ${JSON.stringify(text).replace('\\u0000', '\0').replace('\\u0001', '\u0001').replace('\\ufeff', '\ufeff')};\r\nexports.handler = () => 蜂;`;
  assert.ok(source.includes('\0'));
  const runtime = await serve(t, Buffer.from(source).toString('base64'), { ROUSE_SOURCE_ENCODING: 'base64' });
  assert.equal(await (await runtime.fetch()).text(), text);
});

test('the source is not in the environment of the code', async (t) => {
  const runtime = await serve(t, 'exports.handler = () => Object.keys(process.env);');
  assert.deepEqual(await (await runtime.fetch()).json(), ['PORT', 'ROUSE_TERMINATION_LOG']);
});

test('the trace of a request names the file and the line', async (t) => {
  const runtime = await serve(t, 'import "fs";\n\nexport const handler = () => new Error("why").stack;');
  assert.match(await (await runtime.fetch()).text(), /^Error: why\n    at .*handler \(function\.mjs:3:30\)/);
});
