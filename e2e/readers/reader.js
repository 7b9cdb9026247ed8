// Answers each request with what Node's server has read of it: JSON, in hexadecimal digits, in the field X-Reading.
// Listens on the Unix socket that its argument names.
'use strict';
const http = require('node:http');

const server = http.createServer((request, response) => {
  const parts = [];
  request.on('data', (part) => parts.push(part));
  request.on('end', () => {
    const raw = request.rawHeaders;
    const fields = [];
    for (let at = 0; at < raw.length; at += 2) {
      if (raw[at].toLowerCase() !== 'host') fields.push([raw[at].toLowerCase(), raw[at + 1]]);
    }
    const reading = {
      method: request.method,
      target: request.url,
      host: request.headers.host ?? '',
      fields,
      body: Buffer.concat(parts).toString('hex'),
    };
    response.setHeader('X-Reading', Buffer.from(JSON.stringify(reading)).toString('hex'));
    response.end();
  });
});
server.listen(process.argv[2]);
