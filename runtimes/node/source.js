'use strict';

// The one file of the user becomes a module of whichever kind it is written as.

const { LoadFailure } = require('./failure.js');
const builtin = require('./builtin.js');

/** What V8 says of text that may be a module and is no script; Node's own detection goes by the same list. */
const ONLY_IN_MODULES = [
  /^Cannot use import statement outside a module/,
  /^Unexpected token 'export'/,
  /^Cannot use 'import.meta' outside a module/,
  /^await is only valid in async functions/,
  // What a CommonJS file is given; a module may have its own.
  /^Identifier '(exports|require|module|__filename|__dirname)' has already been declared/,
];

/**
 * Runs the source and gives what it exports. As in Node, text that CommonJS cannot parse for being a module is one.
 *
 * @param {string} text
 * @returns {Promise<Record<string, any>>}
 */
async function run(text) {
  let script;
  try {
    script = compile(text);
  } catch (error) {
    const { message } = /** @type {Error} */ (error);
    if (ONLY_IN_MODULES.some((sign) => sign.test(message))) return require('./esm.js').run(text);
    throw error;
  }
  return runScript(script);
}

/** @param {string} code a byte order mark is white space to V8, and a first line for the shell a comment */
function compile(code) {
  return require('vm').compileFunction(code, ['exports', 'require', 'module', '__filename', '__dirname'], {
    filename: 'function.js',
    importModuleDynamically: (/** @type {string} */ name) => require('./esm.js').importBuiltin(name),
  });
}

/** @param {Function} script */
function runScript(script) {
  /** @type {Record<string, any>} */
  const module = { exports: {}, id: '/function.js', filename: '/function.js', loaded: false, children: [], paths: [] };
  // To the file it was loaded by another, so that what it does when it is run by itself is left out.
  const main = { ...module, exports: {}, id: '.', filename: '/main.js' };
  module.parent = main;
  const load = Object.assign((/** @type {string} */ name) => builtin.load(name, 'require'), {
    main,
    cache: {},
    resolve: (/** @type {string} */ name) => builtin.load(name, 'require') && name,
  });
  script.call(module.exports, module.exports, load, module, module.filename, '/');
  module.loaded = true;
  const { exports } = module;
  if (exports === null || (typeof exports !== 'object' && typeof exports !== 'function')) {
    throw new LoadFailure(`The source exports ${exports === null ? 'null' : `a ${typeof exports}`}, not a function.`);
  }
  return exports;
}

module.exports = { run };
