// The functions that the conformance client of the Functions Framework asks for: each writes its input to function_output.json.
// https://github.com/GoogleCloudPlatform/functions-framework-conformance
const fs = require('fs');
const functions = require('@google-cloud/functions-framework');

const write = (text) => fs.writeFileSync('function_output.json', text);
const second = () => new Promise((go) => setTimeout(go, 1000));

exports.writeHttp = (req, res) => {
  write(JSON.stringify(req.body));
  res.sendStatus(200);
};
exports.writeCloudEvent = (event) => write(JSON.stringify(event));
exports.writeLegacyEvent = (data, context) => write(JSON.stringify({ data, context }));

functions.http('writeHttpDeclarative', exports.writeHttp);
functions.cloudEvent('writeCloudEventDeclarative', exports.writeCloudEvent);

exports.concurrentHttp = async (req, res) => {
  await second();
  res.send('ok');
};
exports.concurrentCloudEvent = second;
