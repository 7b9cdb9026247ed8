'use strict';

// What the published conformance client does, step by step, without the client: it is a Go program that not every machine can
// build. Its option -validate-mapping (Google's older events turned into CloudEvents and back) is left out: that mapping is of
// Google's own sources.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const http = require('node:http');
const path = require('node:path');
const test = require('node:test');
const { serve } = require('../tests/runtime.js');

const SOURCE = fs.readFileSync(path.join(__dirname, 'functions.js'), 'utf8');
const CONCURRENT = 1000;

const message = { '@type': 'type.googleapis.com/google.pubsub.v1.PubsubMessage', attributes: { key: 'value' }, data: 'aGVsbG8gd29ybGQ=' };
const file = { bucket: 'pictures', contentType: 'image/png', generation: '1700000000000000', kind: 'storage#object', name: 'in/bee.png', size: '352' };
const user = { email: 'bee@example.com', metadata: { createTime: '2026-01-02T03:04:05Z' }, providerData: [{ providerId: 'password' }], uid: 'u1' };

/** CloudEvents of the kinds that the client sends. */
const CLOUD_EVENTS = [
  ['google.cloud.pubsub.topic.v1.messagePublished', '//pubsub.googleapis.com/projects/p/topics/t', undefined, { subscription: 'projects/p/subscriptions/s', message }],
  ['google.cloud.storage.object.v1.finalized', '//storage.googleapis.com/projects/_/buckets/pictures', 'objects/in/bee.png', file],
  ['google.firebase.auth.user.v1.created', '//firebaseauth.googleapis.com/projects/p', 'users/u1', user],
  ['google.firebase.database.ref.v1.written', '//firebasedatabase.googleapis.com/projects/_/locations/l/instances/i', 'refs/hive/bee', { data: null, delta: { bee: 'b' } }],
  ['google.cloud.firestore.document.v1.written', '//firestore.googleapis.com/projects/p/databases/(default)', 'documents/hive/b1', { oldValue: {}, updateMask: { fieldPaths: ['count'] } }],
].map(([type, source, subject, data]) => ({
  specversion: '1.0', type, source, ...(subject && { subject }), id: 'aaaaaa-1111-bbbb-2222-cccccccccccc', time: '2026-09-29T11:32:00.123Z',
  datacontenttype: 'application/json', data,
}));

/**
 * @param {import('node:test').TestContext} t
 * @param {string} target
 * @param {string} signature
 */
async function conform(t, target, signature) {
  const runtime = await serve(t, SOURCE, { FUNCTION_TARGET: target, FUNCTION_SIGNATURE_TYPE: signature });
  const output = path.join(runtime.directory, 'function_output.json');
  return {
    /** @param {Record<string, string>} headers @param {any} body @returns {Promise<any>} what the function wrote */
    async send(headers, body) {
      fs.rmSync(output, { force: true });
      const response = await runtime.fetch('/', { method: 'POST', headers: { 'content-type': 'application/json', ...headers }, body: JSON.stringify(body) });
      assert.ok(response.ok, `status ${response.status}`);
      await response.text();
      return fs.existsSync(output) ? JSON.parse(fs.readFileSync(output, 'utf8')) : undefined;
    },
  };
}

for (const target of ['writeHttp', 'writeHttpDeclarative']) {
  test(`http: ${target}`, async (t) => {
    const { send } = await conform(t, target, 'http');
    assert.deepEqual(await send({}, { res: 'PASS' }), { res: 'PASS' });
  });
}

for (const target of ['writeCloudEvent', 'writeCloudEventDeclarative']) {
  for (const event of CLOUD_EVENTS) {
    test(`cloudevent: ${target}, ${event.type}`, async (t) => {
      const { send } = await conform(t, target, 'cloudevent');
      assert.deepEqual(await send({ 'content-type': 'application/cloudevents+json' }, event), event, 'structured');
      const { data, datacontenttype, ...attributes } = event;
      const headers = Object.fromEntries(Object.entries(attributes).map(([name, value]) => [`ce-${name}`, String(value)]));
      assert.deepEqual(await send({ ...headers, 'content-type': datacontenttype }, data), event, 'binary');
    });
  }
}

test('legacyevent', async (t) => {
  const { send } = await conform(t, 'writeLegacyEvent', 'event');
  const about = { eventId: 'e1', timestamp: '2026-01-02T15:04:05Z', eventType: 'google.pubsub.topic.publish' };
  const resource = { service: 'pubsub.googleapis.com', name: 'projects/p/topics/t', type: message['@type'] };
  const context = { ...about, resource };
  assert.deepEqual(await send({}, { data: message, context }), { data: message, context });
  assert.deepEqual(await send({}, { data: message, ...about, resource: resource.name }), { data: message, context: { ...about, resource: resource.name } });
});

// The client takes the time of many that wait for a second. Here none goes on before all are there, so that a busy machine changes
// nothing.
const TOGETHER = `
  let there = 0;
  let go;
  const all = new Promise((resolve) => { go = resolve; });
  const meet = () => {
    there += 1;
    if (there === ${CONCURRENT}) go();
    return all;
  };
  exports.http = async (req, res) => {
    await meet();
    res.send('all');
  };
  exports.cloudevent = meet;
`;

for (const signature of ['http', 'cloudevent']) {
  test(`${signature}: ${CONCURRENT} requests are answered at once`, async (t) => {
    const { port } = await serve(t, TOGETHER, { FUNCTION_TARGET: signature, FUNCTION_SIGNATURE_TYPE: signature });
    // fetch would be busier than the server.
    const once = () => new Promise((resolve, reject) => {
      const options = { port, method: 'POST', headers: { 'content-type': 'application/cloudevents+json' } };
      http.request(options, (response) => {
        if (Number(response.statusCode) >= 300) reject(new Error(`status ${response.statusCode}`));
        response.resume().on('end', resolve);
      }).on('error', reject).end(JSON.stringify(CLOUD_EVENTS[0]));
    });
    await Promise.all(Array.from({ length: CONCURRENT }, once));
  });
}
