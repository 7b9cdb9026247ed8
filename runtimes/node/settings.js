'use strict';

const { LoadFailure } = require('./failure.js');

const MIB = 1024 * 1024;
/** A request's body that is kept in memory, unless FUNCTION_MAX_BODY_BYTES says otherwise; less in a small heap. */
const MAX_BODY_BYTES = 32 * MIB;
const MAX_HEAP_MIB = 1024 * 1024;
const SIGNATURES = ['http', 'cloudevent', 'event'];

/**
 * What the operator tells the process.
 *
 * @typedef {object} Settings
 * @property {number} port where to listen
 * @property {string} source the text of the one file
 * @property {string} target the name of the handler
 * @property {'http' | 'cloudevent' | 'event'} signature how the handler is called
 * @property {boolean} signatureGiven false where the signature is only the default
 * @property {number} maxBodyBytes the longest body that a handler is given, as it is sent
 * @property {number} maxDecodedBytes the longest that one may become when its Content-Encoding is undone: few bytes can be many
 * @property {number} maxBodiesBytes all bodies that are in memory at once
 */

/**
 * Reads the settings and takes the source out of the environment, so that neither the user's code nor its child processes
 * carry it along.
 *
 * @param {NodeJS.ProcessEnv} env
 * @returns {Settings}
 * @throws {LoadFailure} if a variable cannot be understood
 */
function fromEnvironment(env) {
  const source = sourceText(env.ROUSE_SOURCE, env.ROUSE_SOURCE_ENCODING);
  delete env.ROUSE_SOURCE;
  delete env.ROUSE_SOURCE_ENCODING;
  const signature = env.FUNCTION_SIGNATURE_TYPE || 'http';
  if (!SIGNATURES.includes(signature)) {
    throw new LoadFailure('FUNCTION_SIGNATURE_TYPE must be http, cloudevent or event.');
  }
  return {
    port: wholeNumber('PORT', env.PORT, 8080, 65535),
    source,
    target: env.FUNCTION_TARGET || 'handler',
    signature: /** @type {Settings['signature']} */ (signature),
    signatureGiven: Boolean(env.FUNCTION_SIGNATURE_TYPE),
    ...bodies(env),
  };
}

/**
 * How much of the heap bodies may take. Without a heap that is known, the limits follow from that of one body.
 *
 * @param {NodeJS.ProcessEnv} env
 */
function bodies(env) {
  const heap = wholeNumber('ROUSE_HEAP_MIB', env.ROUSE_HEAP_MIB, Infinity, MAX_HEAP_MIB) * MIB;
  const standard = Math.min(MAX_BODY_BYTES, heap / 4);
  const maxBodyBytes = wholeNumber('FUNCTION_MAX_BODY_BYTES', env.FUNCTION_MAX_BODY_BYTES, standard, Number.MAX_SAFE_INTEGER);
  return {
    maxBodyBytes,
    maxDecodedBytes: Math.min(maxBodyBytes, heap / 16),
    maxBodiesBytes: heap === Infinity ? 4 * maxBodyBytes : Math.max(maxBodyBytes, heap / 2),
  };
}

/**
 * @param {string | undefined} text
 * @param {string | undefined} encoding base64 where the text holds what an environment variable cannot (NUL)
 */
function sourceText(text, encoding) {
  if (text === undefined) throw new LoadFailure('There is no source: ROUSE_SOURCE is not set.');
  if (!encoding) return text;
  if (encoding !== 'base64') throw new LoadFailure('ROUSE_SOURCE_ENCODING must be base64 or unset.');
  return Buffer.from(text, 'base64').toString();
}

/**
 * @param {string} name
 * @param {string | undefined} text
 * @param {number} standard where the variable is not set
 * @param {number} most
 */
function wholeNumber(name, text, standard, most) {
  if (!text) return standard;
  const number = /^\d+$/.test(text) ? Number(text) : NaN;
  if (!(number <= most)) throw new LoadFailure(`${name} must be a whole number of at most ${most}.`);
  return number;
}

module.exports = { fromEnvironment };
