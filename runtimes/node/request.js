'use strict';

const { IncomingMessage } = require('http');
const context = require('./context.js');

const UNREAD = Symbol('unread');

/**
 * A request with what handlers know from Express and Google's framework. https://expressjs.com/en/5x/api.html#req
 *
 * The activator in front is the only peer, so its X-Forwarded headers are believed.
 */
class FunctionRequest extends IncomingMessage {
  /** @type {import('./context.js').Context | undefined} */
  store = undefined;
  /** @type {any} */
  #body = UNREAD;
  /** The body's bytes, after a Content-Encoding is undone. @type {Buffer | undefined} */
  rawBody = undefined;
  /** There are no routes. */
  params = {};
  baseUrl = '';

  /**
   * @param {string} name
   * @param {...any} args
   */
  emit(name, ...args) {
    return context.emitIn(this.store, () => super.emit(name, ...args));
  }

  /**
   * What the body holds, by its content type; an empty object where there is none. It is parsed when it is asked for: what it
   * takes in memory then can be many times its length.
   *
   * @returns {any}
   */
  get body() {
    if (this.#body === UNREAD) this.#body = this.rawBody?.length ? require('./upload.js').parse(this.headers['content-type'], this.rawBody) : {};
    return this.#body;
  }

  set body(value) {
    this.#body = value;
  }

  get originalUrl() {
    return this.url;
  }

  get path() {
    const url = this.url ?? '';
    const end = url.indexOf('?');
    return end < 0 ? url : url.slice(0, end);
  }

  /** A name that comes twice gives an array. */
  get query() {
    const url = this.url ?? '';
    const start = url.indexOf('?');
    const query = start < 0 ? {} : require('querystring').parse(url.slice(start + 1));
    Object.defineProperty(this, 'query', { value: query, writable: true, configurable: true, enumerable: true });
    return query;
  }

  get protocol() {
    return first(this.headers['x-forwarded-proto']) ?? 'http';
  }

  get secure() {
    return this.protocol === 'https';
  }

  /** The host that was asked for, without its port. */
  get hostname() {
    return this.host?.replace(/:\d+$/, '');
  }

  get host() {
    return first(this.headers['x-forwarded-host']) ?? this.headers.host;
  }

  /** The caller's address as the first proxy saw it. */
  get ip() {
    return first(this.headers['x-forwarded-for']) ?? this.socket.remoteAddress;
  }

  /**
   * @param {string} name
   * @returns {string | string[] | undefined}
   */
  get(name) {
    const key = name.toLowerCase();
    if (key === 'referer' || key === 'referrer') return this.headers.referrer ?? this.headers.referer;
    return this.headers[key];
  }

  /** @param {string} name */
  header(name) {
    return this.get(name);
  }
}

/** @param {string | string[] | undefined} list */
function first(list) {
  return list === undefined ? undefined : String(list).split(',', 1)[0].trim();
}

module.exports = { FunctionRequest };
