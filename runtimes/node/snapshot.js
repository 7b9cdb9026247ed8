'use strict';

// Debian's Node is built without the snapshot of its own start that other builds have, and takes three times as long. It can
// be made up for when the image is packed, by the Node that will run and at the path where it will be:
//
//   node --snapshot-blob /rouse/snapshots/none --build-snapshot /rouse/node/snapshot.js
//
// start.sh picks one. The snapshot holds Node's start and these lines; main.js is read as ever.

const main = __filename.replace(/[^/]*$/, 'main.js');

require('v8').startupSnapshot.setDeserializeMainFunction(() => {
  // Node 18 warns that node:module may not be used here. It may: all that is needed of it begins from nothing.
  const { emitWarning } = process;
  process.emitWarning = () => {};
  const { createRequire } = require('module');
  process.emitWarning = emitWarning;
  createRequire(main)(main);
});
