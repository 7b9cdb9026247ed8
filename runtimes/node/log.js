'use strict';

// Every line that is printed while a request runs begins with the id of that request, and is written whole.

const context = require('./context.js');

/** Bytes of a line as it is written, with the id and the line break. Container runtimes cut at the same length. */
const LINE_BYTES = 16 * 1024;

/** Tails that hold a begun line. @type {Set<Tail>} */
const begun = new Set();
/** Requests print to their own tails, everything else to these. @type {Tail[]} */
const outside = [];

/** The begun line of one request on one stream. */
class Tail {
  /**
   * @param {(text: string) => boolean} write
   * @param {string} prefix
   */
  constructor(write, prefix) {
    this.write = write;
    this.prefix = prefix;
    this.text = '';
    /** @type {import('string_decoder').StringDecoder | undefined} for bytes, which may end within a character */
    this.decoder = undefined;
  }

  /**
   * Writes every line that is complete and keeps the rest.
   *
   * @param {string} text
   * @returns {boolean} false while the stream asks to wait
   */
  add(text) {
    const end = text.lastIndexOf('\n');
    if (end < 0) {
      this.text += text;
      begun.add(this);
      // A line that never ends must not fill the memory.
      return this.text.length < LINE_BYTES || this.flush();
    }
    const complete = this.text + text.slice(0, end);
    this.text = text.slice(end + 1);
    if (this.text) begun.add(this);
    else begun.delete(this);
    return this.write(this.format(complete));
  }

  /** Ends the line that is begun, if one is. */
  flush() {
    begun.delete(this);
    const { text } = this;
    this.text = '';
    return text === '' || this.write(this.format(text));
  }

  /** @param {string} lines */
  format(lines) {
    const { prefix } = this;
    // A character of a string is at most three bytes of UTF-8.
    if ((prefix.length + lines.length) * 3 < LINE_BYTES) {
      return prefix + (prefix ? lines.replaceAll('\n', `\n${prefix}`) : lines) + '\n';
    }
    const room = LINE_BYTES - Buffer.byteLength(prefix) - 1;
    let text = '';
    for (const line of lines.split('\n')) for (const piece of split(line, room)) text += `${prefix}${piece}\n`;
    return text;
  }
}

/**
 * @param {string} line
 * @param {number} room bytes
 */
function* split(line, room) {
  const bytes = Buffer.from(line);
  let start = 0;
  while (bytes.length - start > room) {
    let end = start + room;
    while ((bytes[end] & 0xc0) === 0x80) end -= 1;
    yield bytes.toString('utf8', start, end);
    start = end;
  }
  yield bytes.toString('utf8', start);
}

/** Labels what the process prints from now on. The streams themselves are only made when something is printed: they are slow. */
function labelOutput() {
  labelStream('stdout', 0);
  labelStream('stderr', 1);
  process.on('exit', () => begun.forEach((tail) => tail.flush()));
}

/**
 * @param {'stdout' | 'stderr'} name
 * @param {number} index of its tail in each request's context
 */
function labelStream(name, index) {
  const property = /** @type {PropertyDescriptor} */ (Object.getOwnPropertyDescriptor(process, name));
  const open = /** @type {() => NodeJS.WriteStream} */ (property.get);
  let labelled = false;
  const get = () => {
    const stream = open.call(process);
    if (!labelled) {
      labelled = true;
      label(stream, index);
    }
    return stream;
  };
  Object.defineProperty(process, name, { configurable: true, enumerable: true, get });
}

/**
 * @param {NodeJS.WriteStream} stream
 * @param {number} index
 */
function label(stream, index) {
  const raw = stream.write.bind(stream);
  const write = (/** @type {string} */ text) => raw(text);
  outside[index] = new Tail(write, '');
  /** @type {any} */ (stream).write = (/** @type {any} */ chunk, /** @type {any} */ encoding, /** @type {any} */ callback) => {
    const store = context.current();
    const tail = store ? (store.tails[index] ??= new Tail(write, `[${store.id}] `)) : outside[index];
    const done = typeof encoding === 'function' ? encoding : callback;
    const more = tail.add(typeof chunk === 'string' ? chunk : decode(tail, chunk));
    // Nothing ends the line of a request that is over.
    if (store?.over) tail.flush();
    if (typeof done === 'function') process.nextTick(done);
    return more;
  };
}

/**
 * @param {Tail} tail
 * @param {Uint8Array} chunk
 */
function decode(tail, chunk) {
  if (!tail.decoder) tail.decoder = new (require('string_decoder').StringDecoder)('utf8');
  return tail.decoder.write(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength));
}

/**
 * Ends the begun lines of a request that is over.
 *
 * @param {import('./context.js').Context} store
 */
function endLines(store) {
  store.over = true;
  for (const tail of store.tails) tail?.flush();
}

module.exports = { labelOutput, endLines, Tail, LINE_BYTES };
