'use strict';

// What the tests need to run the server as its image does: a real process, real sockets.

const { spawn } = require('node:child_process');
const fs = require('node:fs');
const net = require('node:net');
const os = require('node:os');
const path = require('node:path');

/** How the server is run; another Node, or an image's whole command line, by ROUSE_TEST_COMMAND. */
const COMMAND = process.env.ROUSE_TEST_COMMAND?.split(' ') ?? [process.execPath, '--experimental-vm-modules', path.join(__dirname, '..', 'main.js')];
const PATIENCE_MILLISECONDS = 60_000;

/** For a source: `await goes()` waits until the test says so. */
const WAIT = "const goes = async () => { while (!require('fs').existsSync('go')) await new Promise((go) => setTimeout(go, 10)); };";

/** @type {Set<import('node:child_process').ChildProcess>} */
const children = new Set();
process.on('exit', () => children.forEach((child) => child.kill('SIGKILL')));

/** One run of the server. */
class Runtime {
  /**
   * @param {string} source
   * @param {Record<string, string>} env
   * @param {number} port
   */
  constructor(source, env, port) {
    this.port = port;
    this.directory = fs.mkdtempSync(path.join(os.tmpdir(), 'rouse-node-'));
    this.terminationLog = path.join(this.directory, 'termination-log');
    this.stdout = '';
    this.stderr = '';
    this.child = spawn(COMMAND[0], COMMAND.slice(1), {
      cwd: this.directory,
      env: { PORT: String(port), ROUSE_TERMINATION_LOG: this.terminationLog, ROUSE_SOURCE: source, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    children.add(this.child);
    this.child.stdout?.setEncoding('utf8').on('data', (text) => { this.stdout += text; });
    this.child.stderr?.setEncoding('utf8').on('data', (text) => { this.stderr += text; });
    /** The exit code, or the signal's name, once all output is read. @type {Promise<number | string | null>} */
    this.exited = new Promise((resolve) => this.child.on('close', (code, signal) => {
      children.delete(this.child);
      resolve(code ?? signal);
    }));
    this.ended = false;
    void this.exited.then(() => { this.ended = true; });
  }

  /** The exit code of a process that must end by itself. */
  async exit() {
    await until(() => this.ended, 'the end of the process');
    return this.exited;
  }

  /** Resolves once the port is open. */
  async listening() {
    await until(async () => {
      if (this.ended) throw new Error(`It ended instead of listening: ${this.stderr}`);
      return connects(this.port);
    }, 'listening');
    return this;
  }

  /** @returns {Promise<net.Socket>} a connection of its own */
  connect() {
    return new Promise((resolve, reject) => {
      const socket = net.connect(this.port, '127.0.0.1', () => resolve(socket)).on('error', reject);
    });
  }

  /**
   * Sends bytes and gives everything that comes until the server ends the connection.
   *
   * @param {string | Buffer} bytes
   * @returns {Promise<string>}
   */
  async raw(bytes) {
    const socket = await this.connect();
    socket.write(bytes);
    let text = '';
    for await (const chunk of socket.setEncoding('latin1')) text += chunk;
    return text;
  }

  /**
   * @param {string} [target]
   * @param {RequestInit & { id?: string }} [options]
   */
  async fetch(target = '/', { id = 'test', ...options } = {}) {
    const headers = new Headers(options.headers);
    headers.set('x-request-id', id);
    return fetch(`http://127.0.0.1:${this.port}${target}`, { duplex: 'half', signal: AbortSignal.timeout(PATIENCE_MILLISECONDS), ...options, headers });
  }

  /**
   * @param {'stdout' | 'stderr'} stream
   * @param {string} text
   */
  async prints(stream, text) {
    await until(async () => this[stream].includes(text), `${JSON.stringify(text)} in ${stream}`);
  }

  /** Lets a source go on that waits for the file `go`, see WAIT. */
  go() {
    fs.writeFileSync(path.join(this.directory, 'go'), '');
  }

  termination() {
    return fs.existsSync(this.terminationLog) ? fs.readFileSync(this.terminationLog, 'utf8') : '';
  }

  async close() {
    if (!this.ended) this.child.kill('SIGKILL');
    await this.exited;
    fs.rmSync(this.directory, { recursive: true });
  }
}

/**
 * @param {import('node:test').TestContext} t ends the process with the test
 * @param {string} source
 * @param {Record<string, string>} [env]
 */
async function start(t, source, env = {}) {
  const runtime = new Runtime(source, env, await freePort());
  t.after(() => runtime.close());
  return runtime;
}

/**
 * @param {import('node:test').TestContext} t
 * @param {string} source
 * @param {Record<string, string>} [env]
 */
async function serve(t, source, env) {
  return (await start(t, source, env)).listening();
}

/**
 * A port that nobody listens on, below those that the kernel gives to connections: one of them would be taken again before the
 * runtime listens.
 *
 * @returns {Promise<number>}
 */
function freePort() {
  return new Promise((resolve) => {
    const port = 10_000 + Math.floor(Math.random() * 20_000);
    const server = net.createServer().listen(port, () => server.close(() => resolve(port)));
    server.on('error', () => resolve(freePort()));
  });
}

/** @param {number} port */
function connects(port) {
  return new Promise((resolve) => {
    const socket = net.connect(port, '127.0.0.1');
    socket.on('connect', () => { socket.destroy(); resolve(true); }).on('error', () => resolve(false));
  });
}

/**
 * @param {() => Promise<boolean> | boolean} holds
 * @param {string} what
 */
async function until(holds, what) {
  const end = Date.now() + PATIENCE_MILLISECONDS;
  while (!await holds()) {
    if (Date.now() > end) throw new Error(`Waited in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

module.exports = { start, serve, until, connects, WAIT };
