// One client in one scenario: a real server, the requests it received, and the client's reports.
import { once } from "node:events";
import { createServer } from "node:http";
import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import type { Hub, Session } from "@tidewire/core";
import { createHub, sse } from "@tidewire/express";
import express from "express";
import type { Request, Response } from "express";
import type { Client, Told } from "./client.js";
import type { Scenario } from "./scenarios.js";

/** A request for the stream, in order of arrival. */
export interface Asked {
  readonly at: number;
  readonly lastEventId: string;
  readonly session: Session;
  readonly request: Request;
  readonly response: Response;
}

/** Files that a client's page loads. */
export interface PageFiles {
  readonly html: string;
  readonly scripts: ReadonlyMap<string, string>;
}

export class Run {
  readonly asked: Asked[] = [];
  readonly told: (Told & { readonly at: number })[] = [];
  readonly client: Client;
  readonly scenario: Scenario;
  port = 0;
  hub!: Hub;
  readonly #files: PageFiles | undefined;
  #server!: Server;
  /** Index of the next report expected from the page. */
  #heard = 0;

  constructor(client: Client, scenario: Scenario, files?: PageFiles) {
    this.client = client;
    this.scenario = scenario;
    this.#files = files;
  }

  get origin(): string {
    return `http://localhost:${this.port}`;
  }

  /** The texts of all messages so far. */
  get texts(): string[] {
    return this.told.filter(({ kind }) => kind === "message").map(({ text }) => text ?? "");
  }

  has(kind: Told["kind"]): boolean {
    return this.told.some((each) => each.kind === kind);
  }

  hear(told: Told): void {
    this.told.push({ ...told, at: performance.now() });
  }

  /** Starts the server, on its previous port if it had one. */
  async listen(): Promise<void> {
    this.hub = createHub({ reconnectionTimeMs: 500, ...this.scenario.hub, ...this.client.hub });
    const app = express();
    // Makes Express's error handler answer errors without printing them.
    app.set("env", "test");
    app.use(sse({ hub: this.hub }));
    app.get("/", (_req, res) => void res.type("html").send(this.#files?.html));
    app.get("/scripts/:name", (req, res) => {
      res.type("js").send(this.#files?.scripts.get(req.params.name));
    });
    app.post("/told", express.json(), (req, res) => {
      const { index, ...told } = req.body as Told & { index: number };
      // The page repeats a report whose answer was lost.
      if (index === this.#heard) this.hear(told);
      this.#heard = index + 1;
      res.sendStatus(204);
    });
    app.get("/place", (_req, res) => void res.sse.open());
    app.use("/stream", express.json(), (req, res) => {
      const { method } = (req.body ?? {}) as { method?: string };
      if (method === "notifications/initialized") return void res.sendStatus(202);
      const { lastEventId } = res.sse;
      const asked = {
        at: performance.now(),
        lastEventId,
        session: res.sse,
        request: req,
        response: res,
      };
      this.asked.push(asked);
      this.scenario.serve(this, asked, this.asked.length);
    });
    const server = createServer(app);
    await once(server.listen(this.port), "listening");
    this.#server = server;
    this.port = (server.address() as AddressInfo).port;
  }

  /** Ends the server as docs/operate/shutdown.md says. */
  async shutDown(drainMs: number): Promise<void> {
    await this.hub.close({ drainMs });
    const closed = once(this.#server, "close");
    this.#server.close();
    this.#server.closeAllConnections();
    await closed;
  }

  /** Waits until a condition holds, for at most `ms`. Resolves to whether it does. */
  async until(isTrue: () => boolean, ms: number): Promise<boolean> {
    const end = performance.now() + ms;
    while (!isTrue()) {
      if (performance.now() > end) return false;
      await delay(40);
    }
    return true;
  }
}
