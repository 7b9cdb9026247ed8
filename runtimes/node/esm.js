'use strict';

// ES modules, by node:vm's own module records (the flag --experimental-vm-modules): Node's loader would want a file or a URL,
// and its start costs more than the rest of ours.

const vm = require('vm');
const builtin = require('./builtin.js');

const URL = 'file:///function.mjs';
const LOCATE_MILLISECONDS = 5000;
/** @type {Map<string, any>} a name gives the same module every time */
const imported = new Map();

/**
 * Runs the source as an ES module, top-level await included, and gives its namespace.
 *
 * @param {string} code
 * @returns {Promise<Record<string, any>>}
 */
async function run(code) {
  let module;
  try {
    module = withoutWarning(() => new vm.SourceTextModule(code, {
      identifier: 'function.mjs',
      importModuleDynamically: importBuiltin,
      initializeImportMeta: (/** @type {any} */ meta) => Object.assign(meta, { url: URL, filename: '/function.mjs', dirname: '/' }),
    }));
  } catch (error) {
    throw located(/** @type {Error} */ (error), code);
  }
  await module.link(importBuiltin);
  await module.evaluate();
  return /** @type {any} */ (module.namespace);
}

/**
 * The error with the place in front of its trace, as scripts have it. V8 tells the place of a module's error to nobody but the
 * printer of a process that dies of it, so one does.
 *
 * @param {Error} error
 * @param {string} code that does not parse, and so cannot run
 */
function located(error, code) {
  const { stderr } = require('child_process').spawnSync(process.execPath, ['--input-type=module'], {
    input: code, env: {}, encoding: 'utf8', timeout: LOCATE_MILLISECONDS,
  });
  const place = /\[eval1\]:(\d+\n.*\n.*\n)/.exec(stderr ?? '');
  if (place) error.stack = `function.mjs:${place[1]}\n${error.stack}`;
  return error;
}

/**
 * @param {string} name
 * @returns {Promise<any>}
 */
async function importBuiltin(name) {
  let module = imported.get(name);
  if (!module) {
    module = wrap(name, builtin.load(name, 'import'));
    imported.set(name, module);
    await module.link(() => {});
    await module.evaluate();
  }
  return module;
}

/**
 * @param {string} name
 * @param {any} exports
 */
function wrap(name, exports) {
  const names = Object.keys(exports).filter((key) => key !== 'default');
  return withoutWarning(() => new vm.SyntheticModule(['default', ...names], function () {
    this.setExport('default', exports);
    for (const key of names) this.setExport(key, exports[key]);
  }, { identifier: name }));
}

/**
 * That these classes are experimental is our choice, and no news for the function's log.
 *
 * @template T
 * @param {() => T} action
 * @returns {T}
 */
function withoutWarning(action) {
  const { emitWarning } = process;
  process.emitWarning = () => {};
  try {
    return action();
  } finally {
    process.emitWarning = emitWarning;
  }
}

module.exports = { run, importBuiltin };
