'use strict';

// Stands in for @google-cloud/functions-framework: the part of it that declares functions.
// https://github.com/GoogleCloudPlatform/functions-framework-nodejs

/**
 * @typedef {object} Declared
 * @property {'http' | 'cloudevent'} signature
 * @property {Function} handler
 */

/** @type {Map<string, Declared>} */
const declared = new Map();

/**
 * @param {string} name
 * @param {Function} handler takes (req, res)
 */
function http(name, handler) {
  declare(name, { signature: 'http', handler });
}

/**
 * @param {string} name
 * @param {Function} handler takes (event)
 */
function cloudEvent(name, handler) {
  declare(name, { signature: 'cloudevent', handler });
}

/**
 * @param {string} name
 * @param {Declared} declaration
 */
function declare(name, declaration) {
  if (typeof declaration.handler !== 'function') throw new TypeError(`The handler of ${name} is no function`);
  declared.set(name, declaration);
}

module.exports = { http, cloudEvent };
// Not for the user's code.
Object.defineProperty(module.exports, 'declared', { value: declared });
