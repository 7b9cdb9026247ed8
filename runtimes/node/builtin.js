'use strict';

// What the one file may import: there is no package installer here, so only what Node itself brings, and our stand-in for
// Google's framework.

const { MISSING } = require('./failure.js');

const FRAMEWORK = '@google-cloud/functions-framework';
let frameworkUsed = false;

/**
 * @param {string} name
 * @param {'require' | 'import'} how
 * @returns {any} what the module exports
 * @throws {Error} with Node's own code, so that a file can try for an optional module
 */
function load(name, how) {
  if (name === FRAMEWORK) {
    frameworkUsed = true;
    return require('./framework.js');
  }
  if (require('module').isBuiltin(name)) return require(name);
  const error = new Error(
    `Cannot find ${JSON.stringify(name)}. A function is one file; it can ${how} Node's built-in modules and ${FRAMEWORK}.`,
  );
  Object.defineProperty(error, MISSING, { value: String(name) });
  throw Object.assign(error, { code: how === 'require' ? 'MODULE_NOT_FOUND' : 'ERR_MODULE_NOT_FOUND' });
}

/**
 * What the source declared through the framework, by name.
 *
 * @returns {Map<string, import('./framework.js').Declared>}
 */
function declared() {
  return frameworkUsed ? /** @type {any} */ (require('./framework.js')).declared : new Map();
}

module.exports = { load, declared };
