'use strict';

const { ServerResponse, STATUS_CODES } = require('http');
const context = require('./context.js');

/** The short names that `type` takes. @type {Record<string, string>} */
const TYPES = {
  bin: 'application/octet-stream',
  css: 'text/css',
  csv: 'text/csv',
  form: 'application/x-www-form-urlencoded',
  gif: 'image/gif',
  html: 'text/html',
  jpeg: 'image/jpeg',
  jpg: 'image/jpeg',
  js: 'text/javascript',
  json: 'application/json',
  md: 'text/markdown',
  pdf: 'application/pdf',
  png: 'image/png',
  svg: 'image/svg+xml',
  text: 'text/plain',
  txt: 'text/plain',
  webp: 'image/webp',
  xml: 'application/xml',
  zip: 'application/zip',
};

/** Headers that hold between two neighbours only (RFC 9110, section 7.6.1): they are the server's. */
const BETWEEN_NEIGHBOURS = new Set(['connection', 'keep-alive', 'proxy-connection', 'te', 'trailer', 'transfer-encoding', 'upgrade']);

/** A response with what handlers know from Express. https://expressjs.com/en/5x/api.html#res */
class FunctionResponse extends ServerResponse {
  /** @type {import('./context.js').Context | undefined} */
  store = undefined;
  /** For the handler's own use. */
  locals = {};
  /** A piece of the body was given, so what is returned belongs behind nothing. */
  begun = false;

  /**
   * @param {string} name
   * @param {...any} args
   */
  emit(name, ...args) {
    return context.emitIn(this.store, () => super.emit(name, ...args));
  }

  /**
   * @param {string} name
   * @param {any} value
   */
  setHeader(name, value) {
    return isBetweenNeighbours(name) ? this : super.setHeader(name, value);
  }

  /**
   * @param {string} name
   * @param {any} value
   */
  appendHeader(name, value) {
    return isBetweenNeighbours(name) ? this : super.appendHeader(name, value);
  }

  /**
   * @param {number} status
   * @param {...any} more a text, and headers as an object or a list of names and values in turn
   * @returns {any}
   */
  writeHead(status, ...more) {
    if (!(status >= 200)) throw new RangeError(`${status} is no status of a response`);
    if (more.length === 0) return super.writeHead(status);
    return super.writeHead(status, ...more.map((each) => (each !== null && typeof each === 'object' ? endToEnd(each) : each)));
  }

  /**
   * @param {any} chunk
   * @param {...any} more
   */
  write(chunk, ...more) {
    this.begun = true;
    return super.write(chunk, ...more);
  }

  /**
   * @param {number} code
   * @throws {RangeError} here rather than later, where the trace would not have the line
   */
  status(code) {
    const number = Number(code);
    if (!Number.isInteger(number) || number < 200 || number > 999) throw new RangeError(`${code} is no status of a response`);
    this.statusCode = number;
    return this;
  }

  /**
   * @param {string | Record<string, any>} name one header's, or all headers as an object
   * @param {any} [value]
   */
  set(name, value) {
    if (typeof name === 'object') {
      for (const [key, each] of Object.entries(name)) this.set(key, each);
      return this;
    }
    const text = Array.isArray(value) ? value.map(String) : String(value);
    this.setHeader(name, name.toLowerCase() === 'content-type' ? withCharset(String(text)) : text);
    return this;
  }

  /**
   * @param {string | Record<string, any>} name
   * @param {any} [value]
   */
  header(name, value) {
    return this.set(name, value);
  }

  /**
   * Adds a value to those that the header has.
   *
   * @param {string} name
   * @param {string | string[]} value
   */
  append(name, value) {
    const before = this.getHeader(name);
    return this.set(name, before === undefined ? value : [before, value].flat());
  }

  /** @param {string} name */
  get(name) {
    return this.getHeader(name);
  }

  /** @param {string} type a media type, or one's short name such as `json` */
  type(type) {
    const short = type.replace(/^\./, '');
    return this.set('Content-Type', short.includes('/') ? short : (Object.hasOwn(TYPES, short) ? TYPES[short] : TYPES.bin));
  }

  /**
   * Ends the response with text (HTML, unless a type is set), bytes, or any other value as JSON.
   *
   * @param {any} [body]
   */
  send(body) {
    if (body === undefined || body === null) return this.finish('');
    if (typeof body === 'string') return this.finish(body, 'text/html; charset=utf-8');
    if (ArrayBuffer.isView(body)) return this.finish(bytes(body), TYPES.bin);
    return this.json(body);
  }

  /** @param {any} body */
  json(body) {
    return this.finish(JSON.stringify(body) ?? '', 'application/json; charset=utf-8');
  }

  /** @param {number} code */
  sendStatus(code) {
    return this.status(code).type('txt').send(STATUS_CODES[code] ?? String(code));
  }

  /** @param {string} url */
  location(url) {
    return this.set('Location', encodeUrl(url));
  }

  /**
   * @param {number | string} status 302 where only an address is given
   * @param {string} [url]
   */
  redirect(status, url) {
    const to = url ?? String(status);
    const code = typeof status === 'number' ? status : 302;
    this.status(code).location(to);
    return this.type('txt').send(`${STATUS_CODES[code]}. Redirecting to ${this.get('Location')}`);
  }

  /**
   * Ends the response in one piece, whether its head was written already or not.
   *
   * @param {string | Uint8Array} body
   * @param {string} [type] unless the handler has set one
   */
  complete(body, type) {
    if (!this.headersSent) return this.finish(body, type);
    this.end(body);
    return this;
  }

  /**
   * Ends the response in one piece, so that its length is known.
   *
   * @param {string | Uint8Array} body
   * @param {string} [type] unless the handler has set one
   */
  finish(body, type) {
    const { statusCode } = this;
    if (statusCode === 204 || statusCode === 304) {
      for (const name of ['Content-Type', 'Content-Length', 'Transfer-Encoding']) this.removeHeader(name);
      this.end();
      return this;
    }
    if (type && !this.hasHeader('Content-Type')) this.setHeader('Content-Type', type);
    this.setHeader('Content-Length', typeof body === 'string' ? Buffer.byteLength(body) : body.byteLength);
    this.end(body);
    return this;
  }
}

/**
 * Takes back what the handler has prepared, of which nothing was sent.
 *
 * @param {FunctionResponse} res
 */
function reset(res) {
  for (const name of res.getHeaderNames()) res.removeHeader(name);
  res.statusMessage = /** @type {any} */ (undefined);
  // An `end` that failed at the head has counted its bytes already.
  res.strictContentLength = false;
}

/**
 * Answers for the server itself.
 *
 * @param {FunctionResponse} res
 * @param {number} status
 * @param {string} text
 */
function plain(res, status, text) {
  res.statusCode = status;
  res.setHeader('Content-Type', 'text/plain; charset=utf-8');
  res.finish(`${text}\n`);
}

/** @param {unknown} name */
function isBetweenNeighbours(name) {
  return typeof name === 'string' && BETWEEN_NEIGHBOURS.has(name.toLowerCase());
}

/**
 * @param {Record<string, any> | any[]} headers
 * @returns {any}
 */
function endToEnd(headers) {
  if (!Array.isArray(headers)) return Object.fromEntries(Object.entries(headers).filter(([name]) => !isBetweenNeighbours(name)));
  if (Array.isArray(headers[0])) return headers.filter(([name]) => !isBetweenNeighbours(name));
  return headers.filter((_, at) => !isBetweenNeighbours(headers[at - (at % 2)]));
}

/** @param {ArrayBufferView} view */
function bytes(view) {
  return Buffer.from(view.buffer, view.byteOffset, view.byteLength);
}

/** @param {string} type */
function withCharset(type) {
  return /^(text\/|application\/json$)/.test(type) && !/;\s*charset=/i.test(type) ? `${type}; charset=utf-8` : type;
}

/**
 * What a header cannot hold is percent-encoded; what is encoded stays as it is.
 *
 * @param {string} url
 */
function encodeUrl(url) {
  return String(url).replace(/[^\x21-\x7e]+/gu, (text) => encodeURIComponent(Buffer.from(text).toString()));
}

module.exports = { FunctionResponse, reset, plain, bytes };
