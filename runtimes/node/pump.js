'use strict';

const { bytes } = require('./response.js');

/**
 * What is read of a stream, a generator or an iterator, and the fastest way to stop it: a stream stops at once, an async generator when
 * it is asked for its next part, because what it waits for belongs to it alone.
 *
 * @param {any} source
 * @returns {Parts}
 */
function partsOf(source) {
  if (typeof source.getReader === 'function') {
    const reader = source.getReader();
    return { next: () => reader.read(), return: () => reader.cancel() };
  }
  const parts = source[Symbol.asyncIterator]?.() ?? source[Symbol.iterator]();
  // Of a stream of Node, `return` waits for the part that is asked for already.
  if (typeof source.destroy === 'function') return { next: () => parts.next(), return: () => source.destroy() };
  return parts;
}

/**
 * @typedef {object} Parts
 * @property {() => any} next
 * @property {() => any} [return]
 */

/**
 * Writes the parts of a stream as they come and no faster than the caller reads them. When the caller goes away the source is
 * told to stop.
 *
 * A source that fails before its first part has sent nothing yet and is answered 500. A source of one part, as most are, is
 * sent in one piece with its length.
 *
 * @param {import('./response.js').FunctionResponse} res
 * @param {Parts} parts of strings and bytes
 * @param {boolean} [headFirst] true if status and headers are to be sent even though the first part is late
 * @returns {Promise<void>} once the response is written
 * @throws what the source throws, unless the caller has gone
 */
async function pump(res, parts, headFirst = false) {
  let over = false;
  let gone = false;
  res.once('close', () => {
    gone = !over;
    if (gone) call(() => parts.return?.());
  });
  try {
    let coming = call(() => parts.next());
    if (headFirst && (await soon(coming)) === LATE && !res.destroyed) res.flushHeaders();
    let step = await coming;
    if (step.done) return void res.complete('');
    coming = call(() => parts.next());
    const second = await soon(coming);
    if (second !== LATE && second.done) return void res.complete(part(step.value));
    while (!step.done && !res.destroyed) {
      if (!res.write(part(step.value))) await writable(res);
      step = await coming;
      if (!step.done) coming = call(() => parts.next());
    }
    res.end();
  } catch (error) {
    // It was told to stop, and fails for that.
    if (!gone) throw error;
  } finally {
    over = true;
  }
}

const LATE = Symbol('late');

/**
 * What comes within this turn of the event loop.
 *
 * @param {Promise<any>} coming
 */
function soon(coming) {
  return Promise.race([coming, new Promise((resolve) => setImmediate(resolve, LATE))]);
}

/**
 * A promise whose failure may be looked at later, or not at all.
 *
 * @param {() => any} action
 * @returns {Promise<any>}
 */
function call(action) {
  const coming = new Promise((resolve) => resolve(action()));
  coming.catch(() => {});
  return coming;
}

/** @param {any} value */
function part(value) {
  if (typeof value === 'string') return value;
  if (ArrayBuffer.isView(value)) return bytes(value);
  throw new TypeError('A stream must consist of strings and bytes');
}

/** @param {import('http').ServerResponse} res */
function writable(res) {
  return new Promise((resolve) => {
    const settle = () => {
      res.off('drain', settle);
      res.off('close', settle);
      resolve(undefined);
    };
    res.on('drain', settle);
    res.on('close', settle);
    if (res.destroyed) settle();
  });
}

module.exports = { pump, partsOf };
