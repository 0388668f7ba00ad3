import { expect, test } from "vitest";
import { startRecipe } from "./start-recipe.js";

test.each(["nest-express", "nest-fastify", "hono", "koa"])(
  "%s delivers what is published and replays what a client missed",
  async (name) => {
    const { ask, open } = await startRecipe(name);
    const client = await open("/news");
    await client.until("sse-cursor");
    expect(client.headers["content-type"]).toBe("text/event-stream");
    const published = await ask("POST", "/news", { title: "High water" });
    expect(published.status).toBe(202);
    const { id } = JSON.parse(published.text) as { id: string };
    await client.until(`event: headline\nid: ${id}\ndata: {"title":"High water"}\n\n`);
    client.cut();

    await ask("POST", "/news", { title: "Low water" });
    const back = await open("/news", { "last-event-id": id });
    await back.until("Low water");
    expect(back.text).not.toContain("High water");
    // One stays open: the program has to end it.
    expect((await ask("GET", "/nowhere")).status).toBe(404);
  },
);
