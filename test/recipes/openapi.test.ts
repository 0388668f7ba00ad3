import { Validator } from "@seriousme/openapi-schema-validator";
import { Ajv2020 } from "ajv/dist/2020.js";
import { createParser } from "eventsource-parser";
import { expect, test } from "vitest";
import { startRecipe } from "./start-recipe.js";

interface Branch {
  readonly properties: {
    readonly event: { const: string };
    readonly data: { contentSchema: object };
  };
}

interface OpenApi {
  readonly paths: {
    "/prices": {
      get: { responses: { "200": { content: { "text/event-stream": { itemSchema: unknown } } } } };
    };
  };
  readonly components: { schemas: { PriceEvent: { oneOf: readonly Branch[] } } };
}

test("openapi serves a valid description, and a stream that keeps to it", async () => {
  const { ask, open } = await startRecipe("openapi");
  const { text } = await ask("GET", "/openapi.json");
  const description = JSON.parse(text) as OpenApi;
  const validator = new Validator();
  const result = await validator.validate(JSON.parse(text) as Record<string, unknown>);
  expect(result.valid, JSON.stringify(result.errors)).toBe(true);
  expect(validator.version).toBe("3.2");

  // The validator looks at `itemSchema`: with one that is no schema it says no.
  const broken = JSON.parse(text) as OpenApi;
  broken.paths["/prices"].get.responses["200"].content["text/event-stream"].itemSchema = 3;
  expect((await new Validator().validate({ ...broken })).valid).toBe(false);

  const stream = await open("/prices");
  await stream.until("sse-cursor");
  expect((await ask("PUT", "/prices", { symbol: "KELP", price: 13 })).status).toBe(204);
  await stream.until("event: change\n");
  const unknown = await open("/prices", { "last-event-id": "unknown" });
  await unknown.until("event: all\n");

  const ajv = new Ajv2020({ strict: false });
  ajv.addSchema(description, "openapi");
  const isItem = ajv.compile({ $ref: "openapi#/components/schemas/PriceEvent" });
  const branches = description.components.schemas.PriceEvent.oneOf;
  const isData = new Map(
    branches.map((branch, index) => {
      const $ref = `openapi#/components/schemas/PriceEvent/oneOf/${index}/properties/data/contentSchema`;
      return [branch.properties.event.const, ajv.compile({ $ref })] as const;
    }),
  );
  const types = new Set<string>();
  const parser = createParser({
    onEvent({ event = "message", data, id }) {
      types.add(event);
      expect(isItem({ event, data, ...(id !== undefined && { id }) }), event).toBe(true);
      expect(isData.get(event)?.(JSON.parse(data)), `${event} ${data}`).toBe(true);
    },
  });
  parser.feed(stream.text);
  parser.feed(unknown.text);
  expect([...types].toSorted()).toEqual(["all", "change", "sse-cursor", "sse-reset"]);
  expect(isItem({ event: "other", data: "{}" })).toBe(false);
});
