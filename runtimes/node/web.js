'use strict';

// The web's own signature: fetch(request) gives a Response. https://fetch.spec.whatwg.org

const body = require('./body.js');
const { plain } = require('./response.js');
const { pump, partsOf } = require('./pump.js');

/**
 * The web's view of a request, or none (and an answer) where that has no place for it.
 *
 * @param {import('./request.js').FunctionRequest} req
 * @param {import('./response.js').FunctionResponse} res
 * @param {number} limit bytes of its body
 * @returns {Request | undefined}
 */
function request(req, res, limit) {
  const bodiless = req.method === 'GET' || req.method === 'HEAD' || !body.has(req);
  try {
    const made = new Request(`${req.protocol}://${req.host ?? 'localhost'}${target(req.url ?? '')}`, {
      method: req.method,
      headers: pairs(req.rawHeaders),
      body: bodiless ? undefined : stream(req, res, limit),
      // @ts-expect-error: of the standard, and not in TypeScript's library
      duplex: 'half',
    });
    return withSignal(made, res);
  } catch {
    if (req.method === 'TRACE') plain(res, 405, "TRACE has no place in the web's Request.");
    else plain(res, 400, 'The address or a header of the request is not valid.');
    return undefined;
  }
}

/**
 * Path and query. That of `OPTIONS *` has neither (RFC 9112, section 3.3), that of a whole address has them behind the host.
 *
 * @param {string} url
 */
function target(url) {
  if (url.startsWith('/')) return url;
  if (url === '*') return '';
  const { pathname, search } = new URL(url);
  return pathname + search;
}

/**
 * Gives the request a signal that is aborted when the caller goes away. It is made when it is asked for, because one that is
 * given to the constructor costs more than the whole rest.
 *
 * @param {Request} made
 * @param {import('./response.js').FunctionResponse} res
 */
function withSignal(made, res) {
  /** @type {AbortController | undefined} */
  let gone;
  const get = () => {
    if (!gone) {
      gone = new AbortController();
      if (res.destroyed) gone.abort();
    }
    return gone.signal;
  };
  res.once('close', () => {
    if (!res.writableFinished) gone?.abort();
  });
  return Object.defineProperty(made, 'signal', { get, configurable: true });
}

/** @param {string[]} raw names and values in turn */
function pairs(raw) {
  /** @type {[string, string][]} */
  const list = [];
  for (let at = 0; at < raw.length; at += 2) list.push([raw[at], raw[at + 1]]);
  return list;
}

/**
 * The body, whose reading fails with a refusal beyond the limit.
 *
 * @param {import('./request.js').FunctionRequest} req
 * @param {import('./response.js').FunctionResponse} res
 * @param {number} limit
 */
function stream(req, res, limit) {
  let length = 0;
  let asked = false;
  let dropped = false;
  const drop = () => {
    dropped = true;
    req.resume();
  };
  const refuse = (/** @type {ReadableStreamDefaultController} */ controller) => {
    controller.error(require('./upload.js').tooLong(limit));
    drop();
  };
  // What the handler leaves unread would stand in the way of the connection's next request.
  res.once('finish', drop);
  return new ReadableStream({
    start(controller) {
      req.on('data', (chunk) => {
        if (dropped) return;
        length += chunk.length;
        if (length > limit) return refuse(controller);
        controller.enqueue(new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.byteLength));
        req.pause();
      });
      req.on('end', () => dropped || controller.close());
      req.on('close', () => req.complete || dropped || controller.error(new Error('The caller went away before the end of its body')));
      req.pause();
    },
    pull(controller) {
      if (Number(req.headers['content-length']) > limit) return refuse(controller);
      if (!asked) body.invite(req, res);
      asked = true;
      req.resume();
    },
    cancel: drop,
    // Nothing is read, nor asked for, before the handler does.
  }, { highWaterMark: 0 });
}

/**
 * @param {import('./response.js').FunctionResponse} res
 * @param {Response} from
 * @returns {Promise<void> | void}
 */
function answer(res, from) {
  if (from.status < 200) throw new TypeError(`The handler returned a response of status ${from.status}`);
  res.statusCode = from.status;
  if (from.statusText) res.statusMessage = from.statusText;
  // What fetch has received is decoded by now, and of another length.
  const received = from.url !== '';
  from.headers.forEach((value, name) => {
    const ofBody = received && (name === 'content-length' || name === 'content-encoding');
    if (name !== 'set-cookie' && !ofBody) res.setHeader(name, value);
  });
  const cookies = setCookies(from.headers);
  if (cookies.length) res.setHeader('set-cookie', cookies);
  if (!from.body) return void res.end();
  if (from.bodyUsed) throw new TypeError('The body of the returned Response was read already');
  return pump(res, partsOf(from.body), true);
}

/**
 * Cookies are the one header whose values may not be joined by commas.
 *
 * @param {Headers} headers
 * @returns {string[]}
 */
function setCookies(headers) {
  if (headers.getSetCookie) return headers.getSetCookie();
  // Debian 12's fetch has no such function. A comma within a cookie stands in its date, and no `name=` follows it.
  return headers.get('set-cookie')?.split(/, (?=[^;,\s]+=)/) ?? [];
}

/**
 * Loads Node's fetch, which takes as long as half of the whole start and happens at the first use of its classes. The port is
 * open by then, so the activator finds the pod ready and sends the first request in the meantime.
 */
function warm() {
  void new Response(new Request('http://localhost').url).headers;
}

module.exports = { request, answer, warm };
