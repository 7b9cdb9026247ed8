'use strict';

// A value that a handler returns becomes the response.

const { types } = require('util');
const { bytes } = require('./response.js');
const { pump, partsOf } = require('./pump.js');

/**
 * Text, bytes, a web Response, a stream, and any other value as JSON; nothing is 204. Status and headers that the handler has
 * set stay.
 *
 * @param {import('./response.js').FunctionResponse} res
 * @param {any} value
 * @returns {void | Promise<void>} a promise while a stream is written
 * @throws {TypeError} for what has no text, such as a function
 */
function answer(res, value) {
  if (value === undefined || value === null) {
    if (res.statusCode === 200 && !res.headersSent) res.statusCode = 204;
    return void res.complete('');
  }
  if (typeof value === 'string') return void res.complete(value, 'text/plain; charset=utf-8');
  if (ArrayBuffer.isView(value)) return void res.complete(bytes(value), 'application/octet-stream');
  if (types.isAnyArrayBuffer(value)) return void res.complete(new Uint8Array(value), 'application/octet-stream');
  if (isWebResponse(value)) return require('./web.js').answer(res, value);
  if (isStream(value)) return pump(res, partsOf(value));
  const json = JSON.stringify(value);
  if (json === undefined) throw new TypeError(`The handler returned a ${typeof value}, which cannot be sent`);
  res.complete(json, 'application/json; charset=utf-8');
}

/**
 * Whether a value is meant as the answer even of a handler that is given `res`: such handlers also return by accident what
 * their last call gave.
 *
 * @param {any} value
 */
function isClearlyAnswer(value) {
  if (typeof value === 'string' || ArrayBuffer.isView(value) || isWebResponse(value)) return true;
  return Array.isArray(value) || /Generator\]$/.test(tag(value)) || (tag(value) === '[object Object]' && isPlain(value));
}

/** @param {any} value */
function isPlain(value) {
  const prototype = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

/**
 * Asked by name, because touching the global class loads all of fetch.
 *
 * @param {any} value
 */
function isWebResponse(value) {
  return tag(value) === '[object Response]';
}

/** @param {any} value */
function tag(value) {
  return Object.prototype.toString.call(value);
}

/** @param {any} value */
function isStream(value) {
  if (typeof value !== 'object') return false;
  return typeof value[Symbol.asyncIterator] === 'function' || (typeof value.next === 'function' && typeof value[Symbol.iterator] === 'function');
}

module.exports = { answer, isClearlyAnswer };
