'use strict';

/** What the body of one request takes of the memory that all of them may take at once. */
class Share {
  /** @param {{ bytes: number }} room what is left of it */
  constructor(room) {
    this.room = room;
    this.bytes = 0;
  }

  /**
   * @param {number} bytes
   * @returns {boolean} false, and nothing is taken, where there is no room
   */
  take(bytes) {
    if (bytes > this.room.bytes) return false;
    this.room.bytes -= bytes;
    this.bytes += bytes;
    return true;
  }

  /** Gives back all but so many bytes. */
  keep(/** @type {number} */ bytes) {
    this.room.bytes += this.bytes - bytes;
    this.bytes = bytes;
  }

  give() {
    this.keep(0);
  }
}

module.exports = { Share };
