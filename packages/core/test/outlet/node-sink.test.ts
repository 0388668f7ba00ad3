import { EventEmitter } from "node:events";
import { describe, expect, it } from "vitest";
import { NodeSink } from "../../src/outlet/node-sink.js";
import type { Exchange } from "../../src/http/exchange.js";
import { makeSettings } from "../memory-outlet.js";
import { untyped } from "../thrown.js";

/** The parts of a `node:http2` response that a sink uses. Its client takes whole writes, on command. */
class Http2Response extends EventEmitter {
  readonly stream: { readonly destroyed: boolean } = { destroyed: false };
  readonly headersSent: boolean = false;
  readonly writableEnded: boolean = false;
  writableLength = 0;

  writeHead(): void {}

  removeHeader(): void {}

  write(bytes: Uint8Array): boolean {
    this.writableLength += bytes.byteLength;
    return false;
  }

  take(): void {
    this.writableLength = 0;
    this.emit("drain");
  }
}

describe("progress over HTTP/2", () => {
  const event = Buffer.alloc(20_000);

  function open(): { sink: NodeSink; response: Http2Response } {
    const response = new Http2Response();
    const sink = new NodeSink(
      untyped<Exchange>({ request: { headers: {} }, response }),
      makeSettings(),
    );
    sink.open(false);
    sink.start(200);
    return { sink, response };
  }

  it("stays unchanged while the client does not read, even if more is written", () => {
    const { sink } = open();
    sink.write(event);
    const before = sink.progress;
    sink.write(event);
    expect(sink.progress).toBe(before);
  });

  it("changes when the client takes bytes, even if as many are written again at once", () => {
    const { sink, response } = open();
    sink.write(event);
    const before = sink.progress;
    response.take();
    sink.write(event);
    expect(sink.bufferedBytes).toBe(event.byteLength);
    expect(sink.progress).not.toBe(before);
  });
});
