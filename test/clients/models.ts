// The family of language model clients, which POST a question and read one answer, and MCP, which also listens.
import type { Client, Dialect, Report } from "./client.js";

const isAbort = (error: unknown): boolean => error instanceof Error && error.name.includes("Abort");

/** Reads an answer to its end and reports what an application would see. */
async function read(
  report: Report,
  stop: AbortController,
  open: () => Promise<AsyncIterable<string | undefined>>,
): Promise<void> {
  try {
    const answer = await open();
    report.open();
    for await (const text of answer) report.message(text ?? "");
    if (!stop.signal.aborted) report.end();
  } catch (error) {
    if (!isAbort(error)) report.error(error);
  }
}

async function* map<T>(
  source: AsyncIterable<T>,
  textOf: (item: T) => string | undefined,
): AsyncGenerator<string | undefined> {
  for await (const item of source) yield textOf(item);
}

const json = (value: unknown, indent?: number): string => JSON.stringify(value, undefined, indent);

const chunk = (content: string): unknown => ({
  id: "1",
  object: "chat.completion.chunk",
  created: 1,
  model: "tide",
  choices: [{ index: 0, delta: { content }, finish_reason: null }],
});

const OPENAI: Dialect = {
  message: (text) => ({ data: json(chunk(text)) }),
  named: (text) => ({ event: "price", data: json(chunk(text)) }),
  lines: { message: { data: json(chunk("lines"), 2) }, text: "lines" },
  last: { message: { data: "[DONE]" }, text: "" },
};

const delta = (text: string): unknown => ({
  type: "content_block_delta",
  index: 0,
  delta: { type: "text_delta", text },
});

const ANTHROPIC: Dialect = {
  message: (text) => ({ event: "content_block_delta", data: json(delta(text)) }),
  named: (text) => ({ event: "price", data: json(delta(text)) }),
  lines: {
    message: { event: "content_block_delta", data: json(delta("lines"), 2) },
    text: "lines",
  },
  last: { message: { event: "message_stop", data: json({ type: "message_stop" }) }, text: "" },
};

const part = (text: string): unknown => ({ type: "text-delta", id: "1", delta: text });

const AI_SDK: Dialect = {
  message: (text) => ({ data: json(part(text)) }),
  named: (text) => ({ event: "price", data: json(part(text)) }),
  lines: { message: { data: json(part("lines"), 2) }, text: "lines" },
  last: { message: { data: "[DONE]" }, text: "" },
};

const notice = (data: string): unknown => ({
  jsonrpc: "2.0",
  method: "notifications/message",
  params: { level: "info", data },
});

const MCP: Dialect = {
  message: (text) => ({ data: json(notice(text)) }),
  named: (text) => ({ event: "price", data: json(notice(text)) }),
  lines: { message: { data: json(notice("lines"), 2) }, text: "lines" },
  last: { message: { data: json(notice("all")) }, text: "all" },
};

export const MODELS: readonly Client[] = [
  {
    name: "openai",
    from: "openai",
    runsIn: "node",
    reads: "answer",
    dialect: OPENAI,
    connect: async (url, report) => {
      const { OpenAI } = await import("openai");
      const client = new OpenAI({ apiKey: "none", baseURL: url });
      const stop = new AbortController();
      void read(report, stop, async () =>
        map(
          await client.chat.completions.create(
            { model: "tide", messages: [{ role: "user", content: "When?" }], stream: true },
            { signal: stop.signal },
          ),
          ({ choices }) => choices[0]?.delta.content ?? undefined,
        ),
      );
      return () => stop.abort();
    },
  },
  {
    name: "@anthropic-ai/sdk",
    from: "@anthropic-ai/sdk",
    runsIn: "node",
    reads: "answer",
    dialect: ANTHROPIC,
    connect: async (url, report) => {
      const { Anthropic } = await import("@anthropic-ai/sdk");
      const client = new Anthropic({ apiKey: "none", baseURL: url });
      const stop = new AbortController();
      void read(report, stop, async () =>
        map(
          await client.messages.create(
            {
              model: "tide",
              max_tokens: 9,
              messages: [{ role: "user", content: "When?" }],
              stream: true,
            },
            { signal: stop.signal },
          ),
          (event) =>
            event.type === "content_block_delta" && event.delta.type === "text_delta"
              ? event.delta.text
              : undefined,
        ),
      );
      return () => stop.abort();
    },
  },
  {
    name: "AI SDK, transport of useChat",
    from: "ai",
    runsIn: "node",
    reads: "answer",
    dialect: AI_SDK,
    connect: async (url, report) => {
      const { DefaultChatTransport } = await import("ai");
      const transport = new DefaultChatTransport({ api: url });
      const stop = new AbortController();
      void read(report, stop, async () =>
        map(
          await transport.sendMessages({
            trigger: "submit-message",
            chatId: "1",
            messageId: undefined,
            messages: [{ id: "1", role: "user", parts: [{ type: "text", text: "When?" }] }],
            abortSignal: stop.signal,
          }),
          (item) => (item.type === "text-delta" ? item.delta : undefined),
        ),
      );
      return () => stop.abort();
    },
  },
  {
    name: "MCP SDK, streamable HTTP",
    from: "@modelcontextprotocol/sdk",
    runsIn: "node",
    reads: "events",
    dialect: MCP,
    connect: async (url, report) => {
      const { StreamableHTTPClientTransport } =
        await import("@modelcontextprotocol/sdk/client/streamableHttp.js");
      const transport = new StreamableHTTPClientTransport(new URL(url));
      transport.onmessage = (message) => {
        if ("params" in message) report.message(String(message.params?.["data"]));
      };
      transport.onerror = (error) => report.error(error);
      await transport.start();
      // After this notification, which the server answers with 202, it opens its listening stream.
      await transport.send({ jsonrpc: "2.0", method: "notifications/initialized" });
      return () => void transport.close();
    },
  },
  {
    name: "MCP SDK, opened again",
    from: "@modelcontextprotocol/sdk",
    runsIn: "node",
    reads: "events",
    dialect: MCP,
    recipeFor: "MCP SDK, streamable HTTP",
    recipe: "MCP SDK",
    // #region MCP SDK
    connect: async (url, report) => {
      const { StreamableHTTPClientTransport, StreamableHTTPError } =
        await import("@modelcontextprotocol/sdk/client/streamableHttp.js");
      const transport = new StreamableHTTPClientTransport(new URL(url));
      let timer: NodeJS.Timeout | undefined;
      transport.onmessage = (message) => {
        if ("params" in message) report.message(String(message.params?.["data"]));
      };
      transport.onerror = (error) => {
        report.error(error);
        // It resumes a stream, but does not come back if its first request fails.
        if (!(error instanceof StreamableHTTPError) || (error.code ?? 0) < 500) return;
        clearTimeout(timer);
        timer = setTimeout(() => void transport.resumeStream("").catch(() => undefined), 2_000);
      };
      await transport.start();
      await transport.send({ jsonrpc: "2.0", method: "notifications/initialized" });
      return () => {
        clearTimeout(timer);
        void transport.close();
      };
    },
    // #endregion
  },
];
