// Its own types have a default export beside `export =`, which no compiler takes.
declare module "express-sse" {
  import type { RequestHandler } from "express";

  class ExpressSse {
    readonly init: RequestHandler;
    send(data: string, event?: string, id?: string): void;
  }
  export = ExpressSse;
}
