// OpenAPI 3.2: `itemSchema` describes each event of a stream.
import { createHub, ssePlugin } from "@tidewire/fastify";
import Fastify from "fastify";

interface Quote {
  readonly symbol: string;
  readonly price: number;
}

type Channels = { prices: { change: Quote } };

const QUOTE = {
  type: "object",
  required: ["symbol", "price"],
  properties: { symbol: { type: "string" }, price: { type: "number", exclusiveMinimum: 0 } },
};

/** Schema of an event: its type, and the JSON in its data. */
function eventOf(type: string, contentSchema: object): object {
  return {
    properties: {
      event: { const: type },
      data: { type: "string", contentMediaType: "application/json", contentSchema },
    },
  };
}

const OPENAPI = {
  openapi: "3.2.0",
  info: { title: "Prices", version: "1.0.0" },
  paths: {
    "/prices": {
      get: {
        summary: "All prices, then each change",
        parameters: [
          {
            name: "Last-Event-ID",
            in: "header",
            description:
              "The `id` of the last event that the client has. The stream continues after it.",
            schema: { type: "string" },
          },
        ],
        responses: {
          "200": {
            description: "An event stream that does not end by itself",
            content: {
              "text/event-stream": { itemSchema: { $ref: "#/components/schemas/PriceEvent" } },
            },
          },
        },
      },
    },
  },
  components: {
    schemas: {
      Quote: QUOTE,
      PriceEvent: {
        type: "object",
        required: ["event", "data"],
        properties: {
          event: { type: "string" },
          data: { type: "string" },
          id: { type: "string", description: "Position in the log. Opaque." },
          retry: { type: "integer", minimum: 0 },
        },
        oneOf: [
          eventOf("all", { type: "array", items: { $ref: "#/components/schemas/Quote" } }),
          eventOf("change", { $ref: "#/components/schemas/Quote" }),
          // Sent by Tidewire. An `EventSource` without a listener ignores it.
          eventOf("sse-cursor", {
            type: "object",
            properties: { heartbeatMs: { type: ["integer", "boolean"] } },
          }),
          eventOf("sse-reset", {
            type: "object",
            required: ["reason", "channels"],
            properties: {
              reason: { enum: ["trimmed", "unknown", "overflow", "fork"] },
              channels: { type: "array", items: { type: "string" } },
            },
          }),
        ],
      },
    },
  },
};

const hub = createHub<Channels>();
const fastify = Fastify({ return503OnClosing: false, forceCloseConnections: true });
await fastify.register(ssePlugin, { hub });

const prices = new Map([
  ["KELP", 12.4],
  ["SALT", 3.95],
]);

fastify.get("/openapi.json", () => OPENAPI);

fastify.get("/prices", (_request, reply) => {
  const quotes = (): Quote[] => [...prices].map(([symbol, price]) => ({ symbol, price }));
  void reply.sse.subscribe("prices", { snapshot: () => [{ event: "all", data: quotes() }] });
  return reply;
});

fastify.put<{ Body: Quote }>("/prices", { schema: { body: QUOTE } }, async (request, reply) => {
  const { symbol, price } = request.body;
  prices.set(symbol, price);
  await hub.publish("prices", { event: "change", data: { symbol, price } });
  return reply.code(204).send();
});

const port = Number(process.env["PORT"] ?? 3000);
await fastify.listen({ port, host: "127.0.0.1" });
console.log(`http://127.0.0.1:${port}`);

for (const signal of ["SIGINT", "SIGTERM"]) {
  process.once(signal, async () => {
    await hub.close();
    await fastify.close();
  });
}
