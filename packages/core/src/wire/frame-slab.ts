/** Memory for the frames of the window, with access to a frame's id and channel name. */

import { END } from "./shared-frames.js";
import type { StoredFrame } from "./shared-frames.js";

/** Size of a slab in bytes. */
const SLAB_BYTES = 65_536;
/** Most slabs kept for reuse. A full window needs one for each slab that it drops. */
const MAX_FREE = 2;
/** Larger frames get their own memory: up to this much, an eighth of a slab, is wasted at its end. */
const MAX_SHARED_BYTES = 8_192;
/** Most bytes of one UTF-16 unit in UTF-8. */
const MAX_UNIT_BYTES = 3;
/**
 * Follows a chunk: twice the name's length in UTF-16 units, plus 1 if each unit takes two bytes. In the last byte, which
 * no length reaches, lies {@link IS_STRING}.
 */
const NAME_HEAD = "\0\0\0\0";
/** Set if the frame's data was published as a string. */
const IS_STRING = 0x80;
/** Between a frame and the name of its channel. */
const GAP_BYTES = END.length + NAME_HEAD.length;
const CR = 0x0d;
const LF = 0x0a;
/** First byte of `event: `, the only field that may come before the id. */
const E = 0x65;

/**
 * Memory for frames that are kept for a while and dropped in the order of arrival.
 *
 * Node's own pool shares pieces of memory between small buffers: each frame would keep alive a piece that is otherwise
 * garbage. Here frames lie side by side, and a slab is free once its last frame is.
 *
 * A loop that publishes without yielding fills slabs faster than the garbage collector frees them. Slabs whose frames
 * were never handed out are therefore reused.
 *
 * The name of its channel lies after each frame. Names stored as strings would weigh more than short events, and a
 * name sliced from a large text would keep all of that text alive.
 */
export class FrameSlab {
  #slab: Buffer = Buffer.alloc(0);
  #used = 0;
  /** Position of the first frame in `#slab`; `undefined` if it is empty. */
  #from: number | undefined;
  /** Full slabs whose frames are still kept, in the order of their positions. */
  readonly #full: FullSlab[] = [];
  readonly #free: Buffer[] = [];

  /**
   * @param block - Text of a frame.
   * @param channel - Channel that it was published on.
   * @param position - Greater than all before. Absent: the memory is not reused.
   * @returns The location of its UTF-8 bytes. The rest of an HTTP/1.1 chunk lies around them, so that the frame can be
   *   sent without a copy.
   */
  write(block: string, channel: string, position?: number): StoredFrame {
    const text = block + END + NAME_HEAD + channel;
    const most = MAX_UNIT_BYTES * text.length;
    if (most > MAX_SHARED_BYTES || this.#used + headBytes(most) + most > this.#slab.byteLength) {
      // Measuring exactly takes as long as writing, so do it only where the text may not fit.
      const size = Buffer.byteLength(block);
      const isAscii = Buffer.byteLength(channel) === channel.length;
      const room = isAscii ? channel.length : MAX_UNIT_BYTES * channel.length;
      const total = headBytes(size) + size + GAP_BYTES + room;
      if (total > MAX_SHARED_BYTES) {
        return fill(Buffer.allocUnsafeSlow(total), headBytes(size), text, block.length, channel);
      }
      if (this.#used + headBytes(most) + total > this.#slab.byteLength) {
        this.#next(position);
      }
    }
    const start = this.#used + headBytes(MAX_UNIT_BYTES * block.length);
    const frame = fill(this.#slab, start, text, block.length, channel);
    this.#used = frame.end + GAP_BYTES + nameBytes(frame);
    return frame;
  }

  /**
   * Reclaims the memory of dropped frames.
   *
   * @param upTo - Position of the last dropped frame.
   * @param lent - Newest position that was handed out: memory with frames up to here is left to the garbage collector.
   */
  release(upTo: number, lent: number): void {
    for (let first = this.#full[0]; first !== undefined; first = this.#full[0]) {
      if (first.to > upTo) return;
      this.#full.shift();
      if (first.from > lent && this.#free.length < MAX_FREE) this.#free.push(first.slab);
    }
  }

  /** Drops all frames; their memory is left to the garbage collector. */
  clear(): void {
    this.#full.length = 0;
    this.#from = undefined;
    this.#used = this.#slab.byteLength;
  }

  #next(position: number | undefined): void {
    if (this.#from !== undefined && position !== undefined) {
      this.#full.push({ slab: this.#slab, from: this.#from, to: position - 1 });
    }
    this.#slab = this.#free.pop() ?? Buffer.allocUnsafeSlow(SLAB_BYTES);
    this.#used = 0;
    this.#from = position;
  }
}

/** A slab with the frames of a range of positions. Frames in between may have their own memory. */
interface FullSlab {
  readonly slab: Buffer;
  readonly from: number;
  readonly to: number;
}

/**
 * Measures the memory of a frame written by {@link FrameSlab.write}.
 *
 * @returns Bytes of the frame, the chunk around it and the channel's name.
 */
export function storedBytes(frame: StoredFrame): number {
  const size = frame.end - frame.start;
  return headBytes(size) + size + GAP_BYTES + nameBytes(frame);
}

/** @returns The channel passed to {@link FrameSlab.write} with a frame. */
export function channelOf(frame: StoredFrame): string {
  const from = frame.end + GAP_BYTES;
  const encoding = isWide(frame) ? "utf16le" : "latin1";
  return frame.slab.toString(encoding, from, from + nameBytes(frame));
}

/** Notes that a frame's data was published as a string. */
export function markString(frame: StoredFrame): void {
  frame.slab[stringMark(frame)] = IS_STRING;
}

/** Whether {@link markString} was called for a frame. */
export function isStringData(frame: StoredFrame): boolean {
  return frame.slab[stringMark(frame)] === IS_STRING;
}

/** Whether a frame was written with this channel. Creates no string. */
export function isOnChannel(frame: StoredFrame, channel: string): boolean {
  const { slab, end } = frame;
  const { length } = channel;
  if (nameHead(frame) >>> 1 !== length) return false;
  const from = end + GAP_BYTES;
  const step = isWide(frame) ? 2 : 1;
  // Names of one application usually differ at the end.
  for (let i = length - 1; i >= 0; i--) {
    if (unitAt(slab, from + i * step, step) !== channel.charCodeAt(i)) return false;
  }
  return true;
}

/** Whether two frames are on the same channel. */
export function haveSameChannel(a: StoredFrame, b: StoredFrame): boolean {
  if (nameHead(a) !== nameHead(b)) return false;
  const { slab } = a;
  const other = b.slab;
  const offset = b.end - a.end;
  const from = a.end + GAP_BYTES;
  for (let at = from + nameBytes(a) - 1; at >= from; at--) {
    if (slab[at] !== other[at + offset]) return false;
  }
  return true;
}

/** @returns A hash from 0 to 2^32 - 1 of the name of a frame's channel, equal to {@link hashName}. */
export function hashChannelOf(frame: StoredFrame, seed: number): number {
  const { slab, end } = frame;
  const step = isWide(frame) ? 2 : 1;
  const to = end + GAP_BYTES + nameBytes(frame);
  let hash = seed;
  for (let at = end + GAP_BYTES; at < to; at += step) hash = mix(hash, unitAt(slab, at, step));
  return finish(hash);
}

/** @returns A hash from 0 to 2^32 - 1 of a name. */
export function hashName(name: string, seed: number): number {
  let hash = seed;
  for (let i = 0; i < name.length; i++) hash = mix(hash, name.charCodeAt(i));
  return finish(hash);
}

/** @returns The id of a frame, from its bytes. */
export function idOf(frame: StoredFrame): string {
  const from = idLine(frame);
  // Starts after "id: " and excludes the line end. An id is ASCII.
  return frame.slab.toString("latin1", from + 4, lineEnd(frame.slab, from) - 1);
}

/**
 * Splits a frame around its id, without a copy.
 *
 * @param frame - A frame with an id.
 * @returns The part before the id's line, which may be empty, and the part after it.
 */
export function withoutIdParts(frame: StoredFrame): readonly [StoredFrame, StoredFrame] {
  const { slab, start, end } = frame;
  const from = idLine(frame);
  return [
    { slab, start, end: from },
    { slab, start: lineEnd(slab, from), end },
  ];
}

/**
 * Writes a frame with its chunk and its channel.
 *
 * @param start - Start of the frame, with room before it for the chunk's head.
 * @param text - The frame's block, {@link END}, {@link NAME_HEAD} and the channel. Written in one call: each call into
 *   Node takes as long as copying a kilobyte.
 */
function fill(
  slab: Buffer,
  start: number,
  text: string,
  blockLength: number,
  channel: string,
): StoredFrame {
  const written = slab.write(text, start);
  let end = start + blockLength;
  let isNameWide = false;
  if (written !== text.length) {
    const inName = Buffer.byteLength(channel);
    isNameWide = inName !== channel.length;
    end = start + written - inName - GAP_BYTES;
    // UTF-8 would replace every lone surrogate by the same character, so different names could become equal.
    if (isNameWide) slab.write(channel, end + GAP_BYTES, "utf16le");
  }
  slab.writeUInt32LE(2 * channel.length + (isNameWide ? 1 : 0), end + END.length);
  let at = start - 1;
  slab[at--] = LF;
  slab[at--] = CR;
  for (let size = end - start; size > 0; size >>>= 4) {
    const digit = size & 15;
    slab[at--] = digit < 10 ? 48 + digit : 87 + digit;
  }
  return { slab, start, end };
}

/** Fields come in a fixed order: the id is on the first line, or on the second after the event type. */
function idLine({ slab, start }: StoredFrame): number {
  return slab[start] === E ? lineEnd(slab, start) : start;
}

/** @returns Start of the next line. */
function lineEnd(slab: Buffer, from: number): number {
  let at = from;
  while (at < slab.length && slab[at] !== LF) at += 1;
  return at + 1;
}

/** @returns Bytes of a chunk's head: its size in hexadecimal and a line end. */
function headBytes(size: number): number {
  return ((35 - Math.clz32(size | 1)) >>> 2) + END.length;
}

function nameHead({ slab, end }: StoredFrame): number {
  return unitAt(slab, end + END.length, 2);
}

function stringMark({ end }: StoredFrame): number {
  return end + END.length + NAME_HEAD.length - 1;
}

function isWide(frame: StoredFrame): boolean {
  return (nameHead(frame) & 1) === 1;
}

function nameBytes(frame: StoredFrame): number {
  const head = nameHead(frame);
  return (head >>> 1) << (head & 1);
}

function unitAt(slab: Buffer, at: number, step: number): number {
  const low = slab[at] as number;
  return step === 1 ? low : low | ((slab[at + 1] as number) << 8);
}

function mix(hash: number, unit: number): number {
  const mixed = Math.imul(hash ^ unit, 0x9e3779b1);
  return mixed ^ (mixed >>> 15);
}

function finish(hash: number): number {
  const mixed = Math.imul(hash, 0x85ebca6b);
  return (mixed ^ (mixed >>> 13)) >>> 0;
}
