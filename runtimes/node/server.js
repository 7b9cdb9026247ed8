'use strict';

const http = require('http');
const failure = require('./failure.js');
const { endLines } = require('./log.js');
const { finish } = require('./stop.js');
const { FunctionRequest } = require('./request.js');
const { FunctionResponse } = require('./response.js');

/** Bytes of a request's head; the activator has its own, lower limit. */
const MAX_HEAD_BYTES = 64 * 1024;
/**
 * Connections that may wait to be taken. The 512th at once would otherwise be tried again by its kernel a second later; the
 * kernel cuts this to its own limit, net.core.somaxconn.
 */
const BACKLOG = 4096;
/** How long a head that has begun before SIGTERM may take from there; the activator gives its callers as long. */
const MAX_HEAD_MILLISECONDS = 5000;
/** Characters of a request's id. */
const ID_LENGTH = 128;

/**
 * Opens the port: from here on the activator sends requests.
 *
 * @param {import('./settings.js').Settings} settings
 * @param {import('./call.js').Call} call
 * @param {import('./stop.js').Stop} stop
 */
function listen({ port }, call, stop) {
  /** @type {Set<FunctionResponse>} responses that are not done */
  const running = new Set();
  /** @type {Set<import('net').Socket>} */
  const connections = new Set();
  let taken = 0;
  let closing = false;
  /** @type {Set<FunctionResponse>} those that wait for an earlier one on their connection */
  const queued = new Set();
  const server = http.createServer({
    IncomingMessage: FunctionRequest,
    ServerResponse: /** @type {any} */ (FunctionResponse),
    maxHeaderSize: MAX_HEAD_BYTES,
    // The activator has the deadlines, and decides how long an idle connection is kept: were it closed from here, the next
    // request could meet its end.
    keepAliveTimeout: 0,
    headersTimeout: 0,
    requestTimeout: 0,
  });

  const onRequest = (/** @type {FunctionRequest} */ req, /** @type {FunctionResponse} */ res) => {
    /** @type {import('./context.js').Context} */
    const store = { id: requestId(req), res, tails: [], over: false, share: undefined };
    // What says another length than it has is an error of the handler's, and no answer that nobody can read.
    res.strictContentLength = true;
    req.store = store;
    res.store = store;
    running.add(res);
    if (stop.asked) res.shouldKeepAlive = false;
    if (!res.socket) queued.add(res);
    res.once('close', () => {
      endLines(store);
      store.share?.give();
      running.delete(res);
      queued.delete(res);
      if (closing) setImmediate(() => server.closeIdleConnections());
    });
    call(store, req, res);
  };
  server.on('connection', (socket) => {
    taken += 1;
    connections.add(socket);
    socket.once('close', () => {
      connections.delete(socket);
      for (const res of queued) if (res.req.socket === socket) closeQueued(res);
    });
  });
  server.on('request', onRequest);
  // The 100 is sent when the body is wanted.
  server.on('checkContinue', onRequest);
  server.on('error', (/** @type {NodeJS.ErrnoException} */ error) => failure.crash(`The server could not listen on port ${port}: ${error.code}.`));

  stop.drain = () => {
    for (const res of running) res.shouldKeepAlive = false;
    whenRead(() => taken, () => {
      closing = true;
      server.close(finish);
      server.closeIdleConnections();
      // To Node a connection that has brought nothing yet is not idle.
      for (const socket of connections) if (socket.bytesRead === 0) socket.destroy();
      setTimeout(() => {
        const busy = new Set([...running].map((res) => res.req.socket));
        for (const socket of connections) if (!busy.has(socket)) socket.destroy();
      }, MAX_HEAD_MILLISECONDS);
    });
  };
  server.listen({ port, backlog: BACKLOG }, failure.loaded);
  call.warm?.();
}

/**
 * Calls `then` when all that has reached the kernel so far is taken and read: recent Node takes one connection in each turn of
 * its loop, and reads what it has brought in the next one.
 *
 * @param {() => number} taken how many connections were taken
 * @param {() => void} then
 */
function whenRead(taken, then) {
  let before = -1;
  let turns = 0;
  const look = () => {
    if (taken() === before || turns > BACKLOG) return then();
    before = taken();
    turns += 1;
    setImmediate(look);
  };
  setImmediate(look);
}

/**
 * Before Node 24 nobody tells a response that its connection has ended before its turn.
 *
 * @param {FunctionResponse} res
 */
function closeQueued(res) {
  res.destroyed = true;
  res.emit('close');
}

/** @param {FunctionRequest} req */
function requestId(req) {
  const id = req.headers['x-request-id'];
  if (typeof id === 'string' && id !== '') return id.slice(0, ID_LENGTH);
  return Math.random().toString(16).slice(2, 18).padEnd(16, '0');
}

module.exports = { listen };
