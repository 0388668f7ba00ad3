import { describe, expect, it } from "vitest";
import { checkOptions } from "../src/options.js";
import type { ConnectOptions } from "../src/options.js";
import { nameGroup } from "../src/share/group-name.js";

function name(options: ConnectOptions, url = "https://example.com/events"): Promise<string> {
  return nameGroup(url, checkOptions(options));
}

describe("The name of a group", () => {
  it("is the same for the same URL, credentials and headers, whatever their form and order", async () => {
    const first = await name({ share: true, headers: { b: "2", A: "1" } });
    expect(
      await name({
        share: true,
        headers: new Headers([
          ["a", "1"],
          ["B", "2"],
        ]),
      }),
    ).toBe(first);
    expect(await name({ share: true, headers: () => ({ a: "1", b: "2" }) })).toBe(first);
    expect(await name({ share: true, headers: () => Promise.resolve({ a: "1", b: "2" }) })).toBe(
      first,
    );
  });

  it("differs with the URL, the credentials, the headers and the reader", async () => {
    const names = await Promise.all([
      name({ share: true }),
      name({ share: true }, "https://example.com/other"),
      name({ share: true, credentials: "include" }),
      name({ share: true, headers: { authorization: "a" } }),
      name({ share: true, headers: { authorization: "b" } }),
      name({ share: "ann" }),
      name({ share: "bob" }),
    ]);
    expect(new Set(names).size).toBe(names.length);
  });

  it("does not depend on the headers if the reader is named, and does not ask for them", async () => {
    const headers = (): never => {
      throw new Error("no");
    };
    expect(await name({ share: "ann", headers })).toBe(await name({ share: "ann" }));
    await expect(name({ share: true, headers })).rejects.toThrow("no");
  });

  it("hides tokens", async () => {
    expect(await name({ share: true, headers: { authorization: "secret" } })).toMatch(
      /^tidewire-[0-9a-f]{64}$/,
    );
  });
});
