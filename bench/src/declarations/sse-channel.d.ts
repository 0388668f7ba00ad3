declare module "sse-channel" {
  import type { IncomingMessage, ServerResponse } from "node:http";

  class SseChannel {
    constructor(options?: { readonly pingInterval?: number });
    addClient(request: IncomingMessage, response: ServerResponse): void;
    send(message: { readonly id?: string; readonly event?: string; readonly data: string }): void;
  }
  export = SseChannel;
}
