'use strict';

// From a request to the handler and back, one way for each signature.

const { reader } = require('./body.js');
const context = require('./context.js');
const failure = require('./failure.js');
const { plain } = require('./response.js');
const { answer, isClearlyAnswer } = require('./answer.js');

/**
 * Answers one request. `warm`, where it is, is called once the port is open.
 *
 * @typedef {((store: import('./context.js').Context, req: import('./request.js').FunctionRequest,
 *   res: import('./response.js').FunctionResponse) => void) & { warm?: () => void }} Call
 */

/**
 * @param {import('./target.js').Target} target
 * @param {import('./settings.js').Settings} settings
 * @returns {Call}
 */
function forTarget(target, settings) {
  if (target.signature === 'fetch') return fetchCall(target, settings);
  const invoke = target.signature === 'http' ? invokeHttp(target) : invokeEvent(target);
  const read = reader(settings);
  return (store, req, res) => read(store, req, res, () => context.run(store, invoke, store, req, res));
}

/** A rest among the parameters, or `arguments`: neither counts in a function's length. */
const TAKES_MORE = /^(?:async\b\s*)?(?:function\b\s*)?\*?\s*[^\s(){}[\],]*\s*\([^()]*\.\.\.\s*(?:[^\s(){}[\],]+|\[[^()]*\])\s*\)|\barguments\s*[[)]/;

/**
 * (req, res) as in Express. A handler that takes no `res` answers by what it returns.
 *
 * @param {import('./target.js').Target} target
 * @returns {Call}
 */
function invokeHttp({ handler, owner, byResponse }) {
  const answers = handler.length < 2 && !TAKES_MORE.test(Function.prototype.toString.call(handler));
  return (store, req, res) => settle(store, () => handler.call(owner, req, res), (value) => {
    if (!byResponse && (answers || isClearlyAnswer(value))) return answer(res, value);
  });
}

/**
 * (event), or (data, context) of the older signature; with one parameter more, a callback says when it is done.
 *
 * @param {import('./target.js').Target} target
 * @returns {Call}
 */
function invokeEvent({ handler, owner, signature }) {
  const event = require('./event.js');
  const read = signature === 'event'
    ? (/** @type {any} */ req) => Object.values(event.background(req))
    : (/** @type {any} */ req) => [event.fromRequest(req)];
  const withCallback = handler.length > (signature === 'event' ? 2 : 1);
  return (store, req, res) => {
    if (req.method !== 'POST') {
      res.setHeader('Allow', 'POST');
      return plain(res, 405, 'Events come by POST.');
    }
    settle(store, () => {
      const args = read(req);
      return withCallback ? called(handler, owner, args) : handler.apply(owner, args);
    }, (value) => answer(res, value));
  };
}

/**
 * @param {Function} handler
 * @param {any} owner
 * @param {any[]} args
 */
function called(handler, owner, args) {
  return new Promise((resolve, reject) => {
    handler.call(owner, ...args, (/** @type {any} */ error, /** @type {any} */ value) => (error ? reject(error) : resolve(value)));
  });
}

/**
 * fetch(request): nothing is read in advance, both bodies are streams.
 *
 * @param {import('./target.js').Target} target
 * @param {import('./settings.js').Settings} settings
 * @returns {Call}
 */
function fetchCall({ handler, owner }, { maxBodyBytes }) {
  const web = require('./web.js');
  /** @type {Call} */
  const call = (store, req, res) => context.run(store, () => {
    const request = web.request(req, res, maxBodyBytes);
    if (request) settle(store, () => handler.call(owner, request), (value) => answer(res, value));
  });
  return Object.assign(call, { warm: web.warm });
}

/**
 * Runs the handler and gives what came of it to `then`, unless the handler has answered by then; every error on the way fails
 * the request.
 *
 * @param {import('./context.js').Context} store
 * @param {() => any} run
 * @param {(value: any) => void | Promise<void>} then
 */
function settle(store, run, then) {
  const { res } = store;
  const fail = (/** @type {unknown} */ error) => failure.inRequest(store, error);
  const finish = (/** @type {any} */ value) => {
    if (res.begun || res.writableEnded || res.destroyed) return undefined;
    return then(value);
  };
  try {
    const value = run();
    if (typeof value?.then === 'function') value.then(finish).then(undefined, fail);
    else finish(value)?.then(undefined, fail);
  } catch (error) {
    fail(error);
  }
}

module.exports = { forTarget };
