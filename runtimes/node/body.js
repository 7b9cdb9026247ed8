'use strict';

const { plain } = require('./response.js');

/** How long the rest of a body that is too long is read and dropped, so that the caller gets to read why. */
const LINGER_MILLISECONDS = 5000;
const EMPTY = Buffer.alloc(0);
/** Content encodings that are undone, by the function of node:zlib that does it. @type {Record<string, string>} */
const DECODERS = { gzip: 'gunzip', 'x-gzip': 'gunzip', deflate: 'inflate', br: 'brotliDecompress' };

/** @param {import('http').IncomingMessage} req */
function has(req) {
  const { headers } = req;
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0;
}

/**
 * Tells a caller who asked first that its body is wanted.
 *
 * @param {import('http').IncomingMessage} req
 * @param {import('http').ServerResponse} res
 */
function invite(req, res) {
  if (req.headers.expect?.toLowerCase() === '100-continue') res.writeContinue();
}

/**
 * Reads the whole body and gives it to `then`, or answers 413 or 400 itself. A caller that goes away before the end of its
 * body is forgotten.
 *
 * @param {import('./request.js').FunctionRequest} req
 * @param {import('./response.js').FunctionResponse} res
 * @param {number} limit bytes, as sent and as decoded
 * @param {() => void} then
 */
function read(req, res, limit, then) {
  if (!has(req)) {
    req.rawBody = EMPTY;
    return then();
  }
  if (Number(req.headers['content-length']) > limit) return refuse(req, res, limit);
  invite(req, res);
  /** @type {Buffer[]} */
  let chunks = [];
  let length = 0;
  const onData = (/** @type {Buffer} */ chunk) => {
    length += chunk.length;
    if (length <= limit) return void chunks.push(chunk);
    chunks = [];
    req.off('data', onData);
    req.off('end', onEnd);
    refuse(req, res, limit);
  };
  const onEnd = () => {
    const sent = chunks.length === 1 ? chunks[0] : Buffer.concat(chunks, length);
    decode(req, res, sent, limit, then);
  };
  req.on('data', onData);
  req.on('end', onEnd);
}

/**
 * @param {import('./request.js').FunctionRequest} req
 * @param {import('./response.js').FunctionResponse} res
 * @param {Buffer} sent
 * @param {number} limit
 * @param {() => void} then
 */
function decode(req, res, sent, limit, then) {
  const encoding = (req.headers['content-encoding'] ?? 'identity').toLowerCase();
  if (encoding === 'identity') return parse(req, res, sent, then);
  if (!Object.hasOwn(DECODERS, encoding)) return plain(res, 415, 'The body has a Content-Encoding that is not known here.');
  const zlib = /** @type {any} */ (require('zlib'));
  zlib[DECODERS[encoding]](sent, { maxOutputLength: limit }, (/** @type {any} */ error, /** @type {Buffer} */ raw) => {
    if (!error) return parse(req, res, raw, then);
    if (error.code === 'ERR_BUFFER_TOO_LARGE') return plain(res, 413, tooLong(limit));
    plain(res, 400, `The body is not valid ${encoding}.`);
  });
}

/**
 * @param {import('./request.js').FunctionRequest} req
 * @param {import('./response.js').FunctionResponse} res
 * @param {Buffer} raw
 * @param {() => void} then
 */
function parse(req, res, raw, then) {
  req.rawBody = raw;
  const type = mediaType(req.headers['content-type']);
  try {
    req.body = value(type, raw);
  } catch {
    return plain(res, 400, 'The body is not valid JSON.');
  }
  then();
}

/**
 * @param {string} type
 * @param {Buffer} raw
 */
function value(type, raw) {
  if (raw.length === 0) return {};
  if (type === 'application/json' || type.endsWith('+json')) return JSON.parse(raw.toString());
  if (type === 'application/x-www-form-urlencoded') return { ...require('querystring').parse(raw.toString()) };
  if (type.startsWith('text/')) return raw.toString();
  return raw;
}

/** @param {string | undefined} contentType */
function mediaType(contentType) {
  return (contentType ?? '').split(';', 1)[0].trim().toLowerCase();
}

/**
 * Answers 413 at once and ends the connection once the caller has read it: one that is closed with bytes unread is reset,
 * and the answer may be lost with it.
 *
 * @param {import('./request.js').FunctionRequest} req
 * @param {import('./response.js').FunctionResponse} res
 * @param {number} limit
 */
function refuse(req, res, limit) {
  const text = `${tooLong(limit)}\n`;
  res.writeHead(413, { 'Content-Type': 'text/plain; charset=utf-8', 'Content-Length': text.length, Connection: 'close' });
  res.write(text);
  const end = () => res.end();
  const timer = setTimeout(end, LINGER_MILLISECONDS);
  req.on('end', end);
  res.on('close', () => clearTimeout(timer));
  req.resume();
  if (req.headers.expect) end();
}

/** @param {number} limit */
function tooLong(limit) {
  return `The body is longer than ${limit} bytes.`;
}

module.exports = { has, invite, read, mediaType };
