'use strict';

const failure = require('./failure.js');

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
  process.on('SIGTERM', () => {
    if (stop.asked) quit(EXIT_FORCED);
    stop.asked = true;
    stop.drain();
  });
  return stop;
}

/** Ends the process once every request has its answer. */
function finish() {
  quit();
}

/** @param {number} [code] */
function quit(code = 0) {
  failure.expectExit();
  process.exit(code);
}

module.exports = { onSignal, finish };
