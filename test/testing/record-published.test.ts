import { createHub } from "@tidewire/core";
import { recordPublished } from "@tidewire/testing";
import { afterEach, describe, expect, it } from "vitest";

interface Channels {
  readonly orders: { readonly paid: { readonly id: number } };
  readonly news: { readonly message: string };
}

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0)) await close();
});

function hub(): ReturnType<typeof createHub<Channels>> {
  const made = createHub<Channels>({ onError: () => {} });
  closers.push(() => made.close());
  return made;
}

describe("recordPublished", () => {
  it("has what was published on its hub, with the data as it was given, and nothing of other hubs", async () => {
    const [own, other] = [hub(), hub()];
    using published = recordPublished(own);
    const data = { id: 1 };
    const first = await own.publish("orders", { event: "paid", data });
    await other.publish("orders", { event: "paid", data: { id: 2 } });
    const second = await own.publish("news", "High water");
    expect(published.events).toEqual([
      { channel: "orders", event: "paid", data, id: first.id },
      { channel: "news", event: "message", data: "High water", id: second.id },
    ]);
    expect(published.events[0]?.data).toBe(data);
  });

  it("has an event once that was published twice with one dedupeKey, and no rejected one", async () => {
    const own = hub();
    const published = recordPublished(own);
    await own.publish("news", "1", { dedupeKey: "x" });
    await own.publish("news", "2", { dedupeKey: "x" });
    await own.close();
    await expect(own.publish("news", "3")).rejects.toMatchObject({ code: "ERR_SSE_CLOSED" });
    expect(published.events.map(({ data }) => data)).toEqual(["1"]);
  });

  it("waits for an event, on one channel or any, and prints what was published instead", async () => {
    const own = hub();
    using published = recordPublished(own);
    const paid = published.next("orders");
    void own.publish("news", "High water");
    void own.publish("orders", { event: "paid", data: { id: 3 } });
    const { data } = await paid;
    expect(data.id satisfies number).toBe(3);
    // @ts-expect-error -- no such channel
    await expect(published.next("order", { withinMs: 1 })).rejects.toThrow('event on "order"');
    expect(await published.next()).toMatchObject({ channel: "news" });
    await expect(published.next("orders", { withinMs: 50 })).rejects.toThrow(
      /No published event on "orders" within 50 ms[\s\S]*news: message id=\S+ High water[\s\S]*orders: paid id=\S+ \{"id":3\}/,
    );
  });

  it("records no more once it is stopped", async () => {
    const own = hub();
    const published = recordPublished(own);
    published.stop();
    published.stop();
    await own.publish("news", "1");
    expect(published.events).toEqual([]);
    expect(() => recordPublished({} as never)).toThrow("Expected `hub` to be a hub, got an object");
  });
});
