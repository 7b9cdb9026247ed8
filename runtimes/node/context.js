'use strict';

const { AsyncLocalStorage } = require('async_hooks');

/**
 * What belongs to one request wherever its code runs: it follows promises, timers and callbacks.
 *
 * @typedef {object} Context
 * @property {string} id the X-Request-Id
 * @property {import('./response.js').FunctionResponse} res
 * @property {import('./log.js').Tail[]} tails begun lines of stdout and stderr
 * @property {boolean} over it has its answer, or nobody to answer to
 * @property {import('./share.js').Share} [share] what its body takes of the memory
 */

/** @type {AsyncLocalStorage<Context>} */
const storage = new AsyncLocalStorage();

/** @returns {Context | undefined} that of the request whose code runs, none outside of requests */
function current() {
  return storage.getStore();
}

/**
 * @template T
 * @param {Context | undefined} context
 * @param {(...args: any[]) => T} action
 * @param {...any} args
 * @returns {T}
 */
function run(context, action, ...args) {
  return storage.run(context, action, ...args);
}

/**
 * Runs what listens to an event of a request or response as a part of that request: Node emits such events outside of it.
 *
 * @param {Context | undefined} context
 * @param {() => boolean} emit
 * @returns {boolean}
 */
function emitIn(context, emit) {
  if (!context || storage.getStore() === context) return emit();
  try {
    return storage.run(context, emit);
  } catch (error) {
    require('./failure.js').inRequest(context, error);
    return true;
  }
}

module.exports = { current, run, emitIn };
