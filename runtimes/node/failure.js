'use strict';

// Every way to fail, and who is told: the operator through the termination log, the caller by a status, the log by a trace.

const fs = require('fs');
const context = require('./context.js');
const response = require('./response.js');

/** The code cannot be run; another try would end alike. (EX_CONFIG of sysexits.h) */
const EXIT_LOAD = 78;
const EXIT_CRASH = 1;
/** Kubernetes takes 4,096 bytes of a termination log; the operator's condition has room for half of that. */
const TERMINATION_BYTES = 2000;
/** Marks the error of a module that is not there with the name that was asked for. */
const MISSING = Symbol('missing');
const USER_FRAME = /\bfunction\.m?js:(\d+)/;

/** The code of the user is being loaded; what fails from here on is its fault. */
let loading = true;
/** This process was told to end by us: its end is no news. */
let expected = false;
/** @type {string | undefined} where the user's code called process.exit */
let exitTrace;

/** A reason not to start that a plain sentence tells in full. */
class LoadFailure extends Error {
  /**
   * @param {string} sentence
   * @param {string} [trace] what helps the author beyond the sentence
   */
  constructor(sentence, trace = '') {
    super(sentence);
    this.trace = trace;
  }
}

/** A request that its caller must send otherwise: the handler may catch it; if not, the caller is told, and the log is not. */
class Refusal extends Error {
  /**
   * @param {number} status
   * @param {string} message for the caller
   * @param {Record<string, string>} [headers]
   */
  constructor(status, message, headers = {}) {
    super(message);
    this.status = status;
    this.headers = headers;
  }
}

/** From now on no error is lost: one of a request fails that request alone, any other ends the process and is reported. */
function watch() {
  const onError = (/** @type {unknown} */ error) => {
    if (loading) return whileLoading(error);
    const store = context.current();
    if (store) return inRequest(store, error);
    crash(`Outside of any request, the source threw ${article(kind(error))}${inLine(error)}.`, userTrace(error));
  };
  process.on('uncaughtException', onError);
  // Without this, what is no Error would arrive wrapped in one.
  process.on('unhandledRejection', onError);
  const exit = process.exit;
  process.exit = (code) => {
    if (!expected) exitTrace = userTrace(new Error('process.exit was called'));
    return exit.call(process, code);
  };
  process.on('exit', onExit);
}

/** @param {number} code */
function onExit(code) {
  if (expected) return;
  const called = exitTrace !== undefined;
  if (loading) {
    const sentence = called
      ? `The source called process.exit(${code}) while it was loaded${inLine({ stack: exitTrace })}.`
      : 'The source waits at its top level for something that cannot happen any more.';
    report(sentence, exitTrace ?? '');
    process.exitCode = EXIT_LOAD;
    expected = true;
    // An exit code given to process.exit() outlives a new exitCode before Node 20.
    process.exit(EXIT_LOAD);
  }
  report(called ? `The source called process.exit(${code})${inLine({ stack: exitTrace })}.` : 'The process ended by itself.', exitTrace ?? '');
}

/** The code is loaded and its handler found. */
function loaded() {
  loading = false;
}

/**
 * Ends the process because the code cannot be run.
 *
 * @param {unknown} error
 */
function whileLoading(error) {
  if (error instanceof LoadFailure) end(error.message, error.trace, EXIT_LOAD);
  if (syntaxErrorLine(error)) {
    end(`The source has a syntax error in line ${syntaxErrorLine(error)}.`, userTrace(error), EXIT_LOAD);
  }
  const missing = /** @type {any} */ (error)?.[MISSING];
  if (missing !== undefined) {
    const name = /^[@\w./:-]{1,100}$/.test(missing) ? missing : 'a module';
    const place = inLine(error).replace(',', '');
    end(`The source needs ${name}${place}, which is not there: it can use Node's built-in modules.`, userTrace(error), EXIT_LOAD);
  }
  end(`The source threw ${article(kind(error))} while it was loaded${inLine(error)}.`, userTrace(error), EXIT_LOAD);
}

/**
 * Ends the process because it cannot go on.
 *
 * @param {string} sentence
 * @param {string} [trace]
 */
function crash(sentence, trace = '') {
  end(sentence, trace, EXIT_CRASH);
}

/**
 * Fails one request: 500, or a cut connection if the response has begun. The caller learns the request's id and nothing
 * else; the trace goes to the log under that id. A refusal is the caller's own fault, and it is told which.
 *
 * @param {import('./context.js').Context} store
 * @param {unknown} error
 */
function inRequest(store, error) {
  const { res } = store;
  // Whatever fails here must not become an error outside of any request, which ends the process.
  try {
    if (error instanceof Refusal && !res.headersSent) return require('./refusal.js').refuse(res, error);
    attempt(() => context.run(store, () => process.stderr.write(`${requestTrace(error)}\n`)));
    if (res.headersSent) return void res.destroy();
    response.reset(res);
    response.plain(res, 500, `The function failed. Its log has the reason under the request id ${store.id}.`);
  } catch {
    res.destroy();
  }
}

/** The process ends because it was told to. */
function expectExit() {
  expected = true;
}

/**
 * @param {string} sentence
 * @param {string} trace
 * @param {number} code
 * @returns {never}
 */
function end(sentence, trace, code) {
  report(sentence, trace);
  expected = true;
  process.exit(code);
}

/**
 * @param {string} sentence the first line: names the kind and the place, and holds no text of the source
 * @param {string} trace
 */
function report(sentence, trace) {
  const text = `${trace ? `${sentence}\n${trace.trimEnd()}` : sentence}\n`;
  const path = process.env.ROUSE_TERMINATION_LOG || '/dev/termination-log';
  attempt(() => fs.writeFileSync(path, fit(text, TERMINATION_BYTES)));
  attempt(() => fs.writeSync(2, text));
}

/** @param {() => void} action something whose failure changes nothing */
function attempt(action) {
  try {
    action();
  } catch {
    // There is nobody left to tell.
  }
}

/**
 * V8 puts the message and the innermost frame first, so the start is what to keep.
 *
 * @param {string} text
 * @param {number} bytes
 */
function fit(text, bytes) {
  const all = Buffer.from(text);
  if (all.length <= bytes) return all;
  let end = bytes;
  while ((all[end] & 0xc0) === 0x80) end -= 1;
  return all.subarray(0, end);
}

/** @param {any} error */
function kind(error) {
  if (error instanceof Error || typeof stack(error) === 'string') {
    const name = String(error.constructor?.name || error.name);
    return /^[\w$]{1,60}$/.test(name) ? name : 'Error';
  }
  return error === null ? 'null' : typeof error === 'object' ? 'object' : typeof error;
}

/** @param {string} noun */
function article(noun) {
  if (noun === 'undefined' || noun === 'null') return noun;
  // Names of classes stand alone, as in "threw TypeError".
  if (/^[A-Z]/.test(noun)) return noun;
  return `${/^[aeiou]/.test(noun) ? 'an' : 'a'} ${noun}`;
}

/** @param {any} error */
function inLine(error) {
  const line = USER_FRAME.exec(String(stack(error) ?? ''))?.[1];
  return line ? `, in line ${line}` : '';
}

/**
 * The line of an error that V8 found while it compiled the file, and none for a SyntaxError that running code threw
 * (JSON.parse): only the former's stack begins with the place.
 *
 * @param {any} error
 */
function syntaxErrorLine(error) {
  if (error?.name !== 'SyntaxError') return undefined;
  return /^function\.m?js:(\d+)\n/.exec(String(stack(error)))?.[1];
}

/**
 * The message, and of the frames only the user's.
 *
 * @param {any} error
 */
function userTrace(error) {
  return fullTrace(error)
    .split('\n')
    .filter((line) => !/^ +at /.test(line) || USER_FRAME.test(line))
    .join('\n');
}

/**
 * Everything but the frames of this server.
 *
 * @param {any} error
 */
function requestTrace(error) {
  return fullTrace(error)
    .split('\n')
    .filter((line) => !/^ +at /.test(line) || !line.includes(__dirname))
    .join('\n');
}

/** @param {any} error what it says of itself may fail, too */
function fullTrace(error) {
  if (typeof error === 'string') return error;
  const { inspect } = require('util');
  for (const show of [() => inspect(error), () => inspect(error, { customInspect: false })]) {
    try {
      return show();
    } catch {
      // The next way may do.
    }
  }
  return 'An error that cannot be shown';
}

/** @param {any} error */
function stack(error) {
  try {
    return error?.stack;
  } catch {
    return undefined;
  }
}

module.exports = { LoadFailure, Refusal, MISSING, watch, whileLoading, loaded, crash, inRequest, expectExit };
