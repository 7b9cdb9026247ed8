'use strict';

// CloudEvents over HTTP. https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/http-protocol-binding.md

const { Refusal } = require('./failure.js');
const { mediaType } = require('./upload.js');

const REQUIRED = ['specversion', 'id', 'source', 'type'];

/**
 * The event that a request holds, in binary or structured mode.
 *
 * @param {import('./request.js').FunctionRequest} req with its body read
 * @returns {Record<string, any>} the attributes, and `data`
 * @throws {Refusal} if it holds none, or a batch of them
 */
function fromRequest(req) {
  const type = mediaType(req.headers['content-type']);
  if (type.startsWith('application/cloudevents-batch')) throw new Refusal(415, 'Batches of events are not taken here.');
  if (type.startsWith('application/cloudevents') && type !== 'application/cloudevents+json') {
    throw new Refusal(415, 'Of the structured events only JSON is taken here.');
  }
  const event = type === 'application/cloudevents+json' ? structured(req.body) : binary(req);
  const missing = REQUIRED.filter((name) => typeof event[name] !== 'string' || event[name] === '');
  if (missing.length) throw new Refusal(400, `The request is no CloudEvent: it lacks ${missing.join(', ')}.`);
  return event;
}

/** @param {any} body */
function structured(body) {
  if (body === null || typeof body !== 'object') return {};
  const { data_base64: base64, ...event } = body;
  if (typeof base64 === 'string') event.data = Buffer.from(base64, 'base64');
  return event;
}

/** @param {import('./request.js').FunctionRequest} req */
function binary(req) {
  /** @type {Record<string, any>} */
  const event = {};
  for (const [name, value] of Object.entries(req.headers)) {
    if (name.startsWith('ce-')) event[name.slice(3)] = percentDecoded(String(value));
  }
  if (req.headers['content-type']) event.datacontenttype = req.headers['content-type'];
  if (req.rawBody?.length) event.data = req.body;
  return event;
}

/** @param {string} text section 3.1.3.2: what is not printable ASCII is percent-encoded */
function percentDecoded(text) {
  try {
    return text.includes('%') ? decodeURIComponent(text) : text;
  } catch {
    return text;
  }
}

/**
 * The data and context of Google's older signature, from its own format or from a CloudEvent.
 * https://cloud.google.com/functions/1stgendocs/writing/write-event-driven-functions
 *
 * @param {import('./request.js').FunctionRequest} req
 * @returns {{ data: any, context: Record<string, any> }}
 * @throws {Refusal}
 */
function background(req) {
  const { body } = req;
  if (req.headers['ce-id'] === undefined && body !== null && typeof body === 'object' && 'data' in body && !('specversion' in body)) {
    const { data, context, ...rest } = body;
    return { data, context: context ?? rest };
  }
  const { data, id, type, time, source } = fromRequest(req);
  return { data, context: { eventId: id, eventType: type, timestamp: time, resource: source } };
}

module.exports = { fromRequest, background };
