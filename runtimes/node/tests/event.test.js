'use strict';

const assert = require('node:assert/strict');
const test = require('node:test');
const { serve } = require('./runtime.js');

const EVENTS = { FUNCTION_SIGNATURE_TYPE: 'cloudevent' };
/** Prints what the function is given, because events are answered with nothing. */
const TELL = 'exports.handler = (event) => { console.log(JSON.stringify(event)); };';
const ATTRIBUTES = { specversion: '1.0', id: 'a-1', source: '//here/x', type: 'com.example.made' };

/** @param {Record<string, string>} attributes */
const binary = (attributes) => Object.fromEntries(Object.entries(attributes).map(([name, value]) => [`ce-${name}`, value]));

test('an event in binary mode', async (t) => {
  const runtime = await serve(t, TELL, EVENTS);
  /** @type {[string, string, string, Record<string, any>][]} */
  const cases = [
    ['json', 'application/json', '{"a":1}', { datacontenttype: 'application/json', data: { a: 1 } }],
    ['text', 'text/plain', 'hi', { datacontenttype: 'text/plain', data: 'hi' }],
    ['bytes', 'application/octet-stream', 'hi', { datacontenttype: 'application/octet-stream', data: { type: 'Buffer', data: [104, 105] } }],
  ];
  for (const [id, type, body, more] of cases) {
    const headers = { ...binary({ ...ATTRIBUTES, id, time: '2020-01-02T15:04:05Z', subject: 'caf%C3%A9 100%', traceid: 'x' }), 'content-type': type };
    const response = await runtime.fetch('/any/path', { method: 'POST', headers, body });
    assert.deepEqual([response.status, await response.text()], [204, '']);
    await runtime.prints('stdout', `"id":"${id}"`);
    const seen = JSON.parse(runtime.stdout.trimEnd().split('\n').at(-1)?.replace('[test] ', '') ?? '');
    assert.deepEqual(seen, { ...ATTRIBUTES, id, time: '2020-01-02T15:04:05Z', subject: 'caf%C3%A9 100%', traceid: 'x', ...more });
  }
});

test('what is percent-encoded in a header is not in the event', async (t) => {
  const runtime = await serve(t, 'exports.handler = ({ subject }) => subject;', EVENTS);
  const response = await runtime.fetch('/', { method: 'POST', headers: binary({ ...ATTRIBUTES, subject: 'Euro %E2%82%AC %F0%9F%98%80' }) });
  assert.equal(await response.text(), 'Euro € \u{1f600}');
});

test('an event in structured mode', async (t) => {
  const runtime = await serve(t, 'exports.handler = (event) => ({ ...event, bytes: Buffer.isBuffer(event.data) });', EVENTS);
  const send = async (/** @type {any} */ event) => (await runtime.fetch('/', {
    method: 'POST', headers: { 'content-type': 'application/cloudevents+json; charset=utf-8' }, body: JSON.stringify(event),
  })).json();
  const event = { ...ATTRIBUTES, datacontenttype: 'application/json', extension: 1, data: { a: [1] } };
  assert.deepEqual(await send(event), { ...event, bytes: false });
  assert.deepEqual(await send({ ...ATTRIBUTES, data_base64: 'aGk=' }), { ...ATTRIBUTES, data: { type: 'Buffer', data: [104, 105] }, bytes: true });
  assert.deepEqual(await send(ATTRIBUTES), { ...ATTRIBUTES, bytes: false });
});

test('what is no event is refused', async (t) => {
  const runtime = await serve(t, TELL, EVENTS);
  const json = { 'content-type': 'application/cloudevents+json' };
  /** @type {[RequestInit, number, string][]} */
  const cases = [
    [{ method: 'POST', body: 'hello' }, 400, 'The request is no CloudEvent: it lacks specversion, id, source, type.\n'],
    [{ method: 'POST', headers: binary({ ...ATTRIBUTES, id: '' }) }, 400, 'The request is no CloudEvent: it lacks id.\n'],
    [{ method: 'POST', headers: json, body: '{"id":5}' }, 400, 'The request is no CloudEvent: it lacks specversion, id, source, type.\n'],
    [{ method: 'POST', headers: json, body: 'null' }, 400, 'The request is no CloudEvent: it lacks specversion, id, source, type.\n'],
    [{ method: 'POST', headers: json, body: '{' }, 400, 'The body is not valid JSON.\n'],
    [{ method: 'POST', headers: { 'content-type': 'application/cloudevents-batch+json' }, body: '[]' }, 415, 'Batches of events are not taken here.\n'],
    [{ method: 'POST', headers: { 'content-type': 'application/cloudevents+xml' }, body: '<x/>' }, 415, 'Of the structured events only JSON is taken here.\n'],
    [{ method: 'GET' }, 405, 'Events come by POST.\n'],
  ];
  for (const [options, status, text] of cases) {
    const response = await runtime.fetch('/', options);
    assert.deepEqual([response.status, await response.text()], [status, text]);
    if (status === 405) assert.equal(response.headers.get('allow'), 'POST');
  }
  assert.equal(runtime.stdout + runtime.stderr, '');
});

test('an event function fails, answers late and calls back', async (t) => {
  const runtime = await serve(t, `
    const functions = require('@google-cloud/functions-framework');
    functions.cloudEvent('handler', async ({ data }) => { await 1; if (data === 'bad') throw new Error('why'); return 'done'; });`, EVENTS);
  const send = (/** @type {string} */ body) => runtime.fetch('/', { method: 'POST', headers: { ...binary(ATTRIBUTES), 'content-type': 'text/plain' }, body });
  assert.equal(await (await send('good')).text(), 'done');
  assert.equal((await send('bad')).status, 500);
  await runtime.prints('stderr', '[test] Error: why');

  const calling = await serve(t, 'exports.handler = ({ data }, done) => setTimeout(() => (data === "bad" ? done(new Error("why")) : done()), 5);', EVENTS);
  const call = (/** @type {string} */ body) => calling.fetch('/', { method: 'POST', headers: { ...binary(ATTRIBUTES), 'content-type': 'text/plain' }, body });
  assert.equal((await call('good')).status, 204);
  assert.equal((await call('bad')).status, 500);
});

test('the signature declared by the code is used where none is given', async (t) => {
  const runtime = await serve(t, "require('@google-cloud/functions-framework').cloudEvent('handler', (event) => event.id);");
  assert.equal(await (await runtime.fetch('/', { method: 'POST', headers: binary(ATTRIBUTES) })).text(), 'a-1');
});

test('the older signature gets data and context', async (t) => {
  const runtime = await serve(t, 'exports.handler = (data, context) => ({ data, context });', { FUNCTION_SIGNATURE_TYPE: 'event' });
  const send = async (/** @type {any} */ body, headers = {}) => (await runtime.fetch('/', {
    method: 'POST', headers: { 'content-type': 'application/json', ...headers }, body: JSON.stringify(body),
  })).json();
  assert.deepEqual(await send({ data: 1, context: { eventId: 'x' } }), { data: 1, context: { eventId: 'x' } });
  assert.deepEqual(await send({ data: 1, eventId: 'x', params: {} }), { data: 1, context: { eventId: 'x', params: {} } });
  assert.deepEqual(await send({ a: 1 }, binary({ ...ATTRIBUTES, time: 'T' })), {
    data: { a: 1 }, context: { eventId: 'a-1', eventType: 'com.example.made', timestamp: 'T', resource: '//here/x' },
  });
});
