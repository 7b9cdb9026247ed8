'use strict';

// The whole life of the process. Nothing listens before the code of the user is loaded and its handler found, because the
// activator takes an open port for readiness.

const failure = require('./failure.js');

failure.watch();
try {
  const settings = require('./settings.js').fromEnvironment(process.env);
  require('./log.js').labelOutput();
  const stop = require('./stop.js').onSignal();
  load(settings).then((call) => {
    const { listen } = require('./server.js');
    // A turn later, because Node tells only then of a rejection at the top level that nobody handles.
    setImmediate(listen, settings, call, stop);
  }, failure.whileLoading);
} catch (error) {
  failure.whileLoading(error);
}

/**
 * From the text of the source to what answers a request.
 *
 * @param {import('./settings.js').Settings} settings
 * @returns {Promise<import('./call.js').Call>}
 */
async function load(settings) {
  const exported = await require('./source.js').run(settings.source);
  const found = require('./target.js').find(exported, settings);
  return require('./call.js').forTarget(found, settings);
}
