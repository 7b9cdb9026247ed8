'use strict';

// The body of a request that has one. It is loaded with the first of them.

const { invite } = require('./body.js');
const { Refusal } = require('./failure.js');
const { refuse } = require('./refusal.js');
const { Share } = require('./share.js');

const EMPTY = Buffer.alloc(0);
/** Pieces of a body that are kept apart: the smallest are one byte, and a hundred times that in memory. */
const MOST_LOOSE = 1024;
/** Content encodings that are undone, by the function of node:zlib that does it. @type {Record<string, string>} */
const DECODERS = { gzip: 'createGunzip', 'x-gzip': 'createGunzip', deflate: 'createInflate', br: 'createBrotliDecompress' };

/**
 * @param {import('./context.js').Context} store
 * @param {import('./request.js').FunctionRequest} req
 * @param {import('./response.js').FunctionResponse} res
 * @param {import('./settings.js').Settings} limits
 * @param {{ bytes: number }} room what is left for all bodies
 * @param {() => void} then
 */
function read(store, req, res, { maxBodyBytes, maxDecodedBytes }, room, then) {
  if (Number(req.headers['content-length']) > maxBodyBytes) return refuse(res, tooLong(maxBodyBytes));
  const share = new Share(room);
  store.share = share;
  invite(req, res);
  gather(req, share, maxBodyBytes, (refusal, sent) => {
    if (refusal) return refuse(res, refusal);
    decode(req, res, sent, share, maxDecodedBytes, (wrong, raw) => {
      if (wrong) return refuse(res, wrong);
      req.rawBody = raw;
      then();
    });
  });
}

/**
 * Puts the pieces of a stream together while there is room for them.
 *
 * @param {import('stream').Readable} stream
 * @param {Share} share gives it all back where it is refused
 * @param {number} limit bytes
 * @param {(refusal: Refusal | undefined, whole: Buffer) => void} then
 */
function gather(stream, share, limit, then) {
  /** @type {Buffer[]} */
  let chunks = [];
  let length = 0;
  let loose = 0;
  const onData = (/** @type {Buffer} */ chunk) => {
    length += chunk.length;
    const refusal = length > limit ? tooLong(limit) : share.take(chunk.length) ? undefined : noRoom();
    if (!refusal) {
      chunks.push(chunk);
      loose += 1;
      if (loose === MOST_LOOSE) {
        chunks.push(Buffer.concat(chunks.splice(-loose)));
        loose = 0;
      }
      return;
    }
    chunks = [];
    share.give();
    stream.off('data', onData);
    stream.off('end', onEnd);
    then(refusal, EMPTY);
  };
  const onEnd = () => then(undefined, chunks.length === 1 ? chunks[0] : Buffer.concat(chunks, length));
  stream.on('data', onData);
  stream.on('end', onEnd);
}

/**
 * @param {import('./request.js').FunctionRequest} req
 * @param {import('./response.js').FunctionResponse} res
 * @param {Buffer} sent
 * @param {Share} share
 * @param {number} limit
 * @param {(refusal: Refusal | undefined, raw: Buffer) => void} then
 */
function decode(req, res, sent, share, limit, then) {
  const encoding = (req.headers['content-encoding'] ?? 'identity').toLowerCase();
  if (encoding === 'identity') return then(undefined, sent);
  const refused = (/** @type {Refusal} */ refusal) => {
    share.give();
    then(refusal, EMPTY);
  };
  if (!Object.hasOwn(DECODERS, encoding)) return refused(new Refusal(415, 'The body has a Content-Encoding that is not known here.'));
  const decoder = /** @type {any} */ (require('zlib'))[DECODERS[encoding]]();
  // A caller that has gone needs no more work, and its share is given back already.
  res.once('close', () => decoder.destroy());
  decoder.on('error', () => refused(new Refusal(400, `The body is not valid ${encoding}.`)));
  gather(decoder, share, limit, (refusal, raw) => {
    if (refusal) decoder.destroy();
    else share.keep(raw.length);
    then(refusal, raw);
  });
  decoder.end(sent);
}

/**
 * What a body holds, by its content type.
 *
 * @param {string | undefined} contentType
 * @param {Buffer} raw
 * @returns {any}
 * @throws {Refusal} if it is not what it says
 */
function parse(contentType, raw) {
  const type = mediaType(contentType);
  if (type === 'application/json' || type.endsWith('+json')) return json(raw);
  if (type === 'application/x-www-form-urlencoded') return { ...require('querystring').parse(raw.toString()) };
  if (type.startsWith('text/')) return raw.toString();
  return raw;
}

/** @param {Buffer} raw */
function json(raw) {
  try {
    return JSON.parse(raw.toString());
  } catch {
    throw new Refusal(400, 'The body is not valid JSON.');
  }
}

/** @param {string | undefined} contentType */
function mediaType(contentType) {
  return (contentType ?? '').split(';', 1)[0].trim().toLowerCase();
}

/** @param {number} limit */
function tooLong(limit) {
  return new Refusal(413, `The body is longer than ${limit} bytes.`);
}

function noRoom() {
  const sentence = 'The bodies of the requests at hand fill the memory of the function. A higher resources.memory gives room for more.';
  return new Refusal(503, sentence, { 'Retry-After': '1' });
}

module.exports = { read, parse, mediaType, tooLong };
