'use strict';

const { plain, reset } = require('./response.js');

/** How long the rest of a body that nobody wants is read and dropped, so that the caller gets to read why. */
const LINGER_MILLISECONDS = 5000;

/**
 * Answers at once. Where the body is still coming it ends the connection once the caller has read that: one that is closed with
 * bytes unread is reset, and the answer may be lost with it.
 *
 * @param {import('./response.js').FunctionResponse} res of which nothing is sent
 * @param {import('./failure.js').Refusal} refusal
 */
function refuse(res, { status, message, headers }) {
  const { req } = res;
  reset(res);
  for (const [name, value] of Object.entries(headers)) res.setHeader(name, value);
  if (req.complete) return plain(res, status, message);
  const text = `${message}\n`;
  res.shouldKeepAlive = false;
  res.writeHead(status, { 'Content-Type': 'text/plain; charset=utf-8', 'Content-Length': text.length });
  res.write(text);
  const end = () => res.end();
  const timer = setTimeout(end, LINGER_MILLISECONDS);
  req.on('end', end);
  res.on('close', () => clearTimeout(timer));
  req.resume();
  if (req.headers.expect) end();
}

module.exports = { refuse };
