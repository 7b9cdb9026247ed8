'use strict';

const EMPTY = Buffer.alloc(0);

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
 * What reads the whole body and then calls `then`, or answers 400, 413, 415 or 503 itself. A caller that goes away before the
 * end of its body is forgotten.
 *
 * @param {import('./settings.js').Settings} limits
 */
function reader(limits) {
  const room = { bytes: limits.maxBodiesBytes };
  /**
   * @param {import('./context.js').Context} store
   * @param {import('./request.js').FunctionRequest} req
   * @param {import('./response.js').FunctionResponse} res
   * @param {() => void} then
   */
  return (store, req, res, then) => {
    if (has(req)) return require('./upload.js').read(store, req, res, limits, room, then);
    req.rawBody = EMPTY;
    then();
  };
}

module.exports = { has, invite, reader };
