import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { fileURLToPath } from "node:url";
import type { Hub } from "@tidewire/core";
import { sse } from "@tidewire/express";
import type { Runs } from "@tidewire/runs";
import express from "express";
import { readText } from "../showcase/input.js";
import { PAGE_DIRECTORY as STYLES } from "../showcase/page.js";
import type { Channels, Producer } from "./channels.js";
import { writeAnswer } from "./model.js";

/** Folder of the page's files, in the sources. This file runs from `examples/dist/chat-llm`. */
const PAGE = fileURLToPath(new URL("../../chat-llm/page/", import.meta.url));

/** Parts and settings of a server of the chat. */
export interface ChatSetting {
  readonly hub: Hub<Channels>;
  readonly runs: Runs;
  /** This node, if there are several. */
  readonly self?: Producer | undefined;
  /** Time that the model takes for a token, in milliseconds. */
  readonly tokenMs: number;
  readonly host: string;
  /** 0 for any free port. */
  readonly port: number;
}

/** A running server of the chat. */
export interface ChatServer {
  readonly port: number;
  /** Ends the answers that this process writes, then the open streams, then the server. */
  stop(): Promise<void>;
}

/**
 * Starts a server of the chat.
 *
 * @returns Rejects if the port is taken.
 */
export async function startChatServer(setting: ChatSetting): Promise<ChatServer> {
  const { hub, runs, self, tokenMs } = setting;
  const app = express();
  app.disable("x-powered-by");
  app.use(sse({ hub }), express.json());

  // The secret of a chat is its address. An application checks here whose chat it is.
  app.param(["chat", "id"], (_req, res, next, value: string) => {
    if (/^[\w-]{8,40}$/.test(value)) next();
    else res.sendStatus(404);
  });

  app.post("/chats/:chat/questions", async (req, res) => {
    const text = readText(req.body, "text");
    if (text === undefined) return void res.status(400).json({ error: "Expected a question" });
    const id = randomBytes(6).toString("hex");
    // The answer does not depend on this request, nor on any page that reads it.
    await runs.start(
      keyOf(req.params.chat, id),
      ({ signal }) => writeAnswer(text, { tokenMs, signal }),
      (token) => ({ data: token }),
    );
    await hub.publish(`chat:${req.params.chat}`, { event: "asked", data: { id, text, by: self } });
    res.sendStatus(202);
  });

  // The questions of a chat, in all of its tabs.
  app.get("/chats/:chat/questions", (req, res) => {
    void res.sse.subscribe(`chat:${req.params.chat}`, { latest: 20 });
  });

  // An answer from its beginning, or from where the page was. 204 if it is no longer kept.
  app.get("/chats/:chat/answers/:id", async (req, res) => {
    await runs.follow(keyOf(req.params.chat, req.params.id), res.sse, {
      end: ({ outcome }) => ({ event: "end", data: outcome }),
    });
  });

  app.delete("/chats/:chat/answers/:id", async (req, res) => {
    await runs.stop(keyOf(req.params.chat, req.params.id));
    res.sendStatus(204);
  });

  app.get("/", (_req, res) => res.redirect(`/chats/${randomBytes(9).toString("base64url")}`));
  app.get("/chats/:chat", (_req, res) => res.sendFile("index.html", { root: PAGE }));
  app.get("/style.css", (_req, res) => res.sendFile("style.css", { root: STYLES }));
  app.use(express.static(PAGE, { index: false }));

  const server = createServer(app).listen(setting.port, setting.host);
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    async stop() {
      // Comes first: pages that follow an answer of this process still get its end.
      await runs.close();
      await hub.close();
      // Browsers open connections in advance. close() alone would wait for them.
      server.close().closeAllConnections();
    },
  };
}

/** Key of the run that writes an answer. */
function keyOf(chat: string, id: string): string {
  return `${chat}.${id}`;
}
