'use strict';

const { LoadFailure } = require('./failure.js');
const builtin = require('./builtin.js');

const MOST_NAMES = 20;

/**
 * The handler that was asked for.
 *
 * @typedef {object} Target
 * @property {'http' | 'cloudevent' | 'event' | 'fetch'} signature
 * @property {Function} handler
 * @property {any} owner the handler's `this`
 * @property {boolean} [byResponse] it answers by `res` alone, whatever it returns
 */

/**
 * Finds the handler: one declared through the framework, an export of that name, or the one thing that the file exports.
 *
 * @param {any} exported
 * @param {import('./settings.js').Settings} settings
 * @returns {Target}
 * @throws {LoadFailure} if there is none, or none of the signature
 */
function find(exported, settings) {
  const found = declared(settings) ?? named(exported, settings) ?? alone(exported, settings) ?? web(exported);
  if (!found) {
    const names = candidates(exported);
    const has = names.length ? `it has: ${names.slice(0, MOST_NAMES).join(', ')}` : 'it exports no function';
    throw new LoadFailure(`The source has no function named ${settings.target}; ${has}.`);
  }
  if (found.signature === 'fetch' && settings.signature !== 'http') {
    throw new LoadFailure(`The source has fetch, which answers HTTP requests, but the signature is ${settings.signature}.`);
  }
  return found;
}

/** @param {import('./settings.js').Settings} settings */
function declared({ target, signature, signatureGiven }) {
  const all = builtin.declared();
  const found = all.get(target) ?? (target === 'handler' && all.size === 1 ? [...all.values()][0] : undefined);
  if (!found) return undefined;
  if (signatureGiven && found.signature !== signature) {
    throw new LoadFailure(`The source declares ${target} as ${found.signature}, but the signature is ${signature}.`);
  }
  // To the framework what an HTTP function returns is nothing.
  return { ...found, owner: undefined, byResponse: found.signature === 'http' };
}

/**
 * @param {any} exported
 * @param {import('./settings.js').Settings} settings
 */
function named(exported, { target, signature }) {
  const path = target.split('.');
  for (const root of containers(exported)) {
    let owner;
    let value = root;
    for (const part of path) {
      owner = value;
      value = hasOwn(owner, part) ? owner[part] : undefined;
    }
    if (value === undefined) continue;
    if (typeof value === 'function') return { signature, handler: value, owner };
    if (typeof value?.fetch === 'function') return web(value);
    throw new LoadFailure(`The source's ${target} is ${value === null ? 'null' : `of type ${typeof value}`}, not a function.`);
  }
  return undefined;
}

/**
 * `module.exports = fn` and `export default fn` need no name.
 *
 * @param {any} exported
 * @param {import('./settings.js').Settings} settings
 */
function alone(exported, { signature }) {
  const handler = [exported, exported.default].find((value) => typeof value === 'function');
  return handler && { signature, handler, owner: undefined };
}

/**
 * `export default { fetch }`, and `export function fetch`.
 *
 * @param {any} exported
 * @returns {Target | undefined}
 */
function web(exported) {
  const owner = [exported.default, exported].find((value) => typeof value?.fetch === 'function');
  return owner && { signature: 'fetch', handler: owner.fetch, owner };
}

/** @param {any} exported */
function containers(exported) {
  const { default: standard } = exported;
  return standard !== null && typeof standard === 'object' ? [exported, standard] : [exported];
}

/** @param {any} exported */
function candidates(exported) {
  const names = containers(exported).flatMap((root) => Object.keys(root).filter((key) => typeof root[key] === 'function'));
  return [...new Set([...builtin.declared().keys(), ...names])].filter((name) => /^[\w$.-]{1,60}$/.test(name));
}

/**
 * @param {any} owner
 * @param {string} key
 */
function hasOwn(owner, key) {
  return owner !== null && owner !== undefined && Object.prototype.hasOwnProperty.call(Object(owner), key);
}

module.exports = { find };
