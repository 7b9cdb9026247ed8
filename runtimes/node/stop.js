'use strict';

const context = require('./context.js');
const failure = require('./failure.js');

const SIGNAL = 'SIGTERM';
const NUMBER = 15;

/** 128 + SIGTERM, as a shell would say it. */
const EXIT_FORCED = 143;

/**
 * What SIGTERM does: before there is a server it ends the process, then it drains it, and the second one never waits.
 *
 * @typedef {object} Stop
 * @property {boolean} asked
 * @property {() => void} drain
 */

/** @returns {Stop} */
function onSignal() {
  const stop = { asked: false, drain: quit };
  const { emit } = process;
  // Listeners of the source would end the process under its requests, so they are not called before `finish`.
  process.emit = /** @type {any} */ (function (/** @type {any} */ name, /** @type {any[]} */ ...args) {
    if (name !== SIGNAL) return /** @type {any} */ (emit).call(this, name, ...args);
    if (stop.asked) quit(EXIT_FORCED);
    stop.asked = true;
    stop.drain();
    return true;
  });
  process.on(SIGNAL, () => {});
  return stop;
}

/** Ends the process once every request has its answer, and the source has done what it does at SIGTERM. */
async function finish() {
  failure.expectExit();
  // The end of the last request calls this, and no part of it.
  await context.run(undefined, () => Promise.all(process.rawListeners(SIGNAL).map((listener) => listener.call(process, SIGNAL, NUMBER))));
  quit();
}

/** @param {number} [code] */
function quit(code = 0) {
  failure.expectExit();
  process.exit(code);
}

module.exports = { onSignal, finish };
