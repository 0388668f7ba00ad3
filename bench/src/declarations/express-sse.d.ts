// The package's own types have a default export besides `export =`, which no compiler accepts.
declare module "express-sse" {
  import type { RequestHandler } from "express";

  class ExpressSse {
    readonly init: RequestHandler;
    send(data: string, event?: string, id?: string): void;
  }
  export = ExpressSse;
}
