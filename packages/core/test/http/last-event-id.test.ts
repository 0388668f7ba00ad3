import { describe, expect, it } from "vitest";
import { readLastEventId } from "../../src/http/last-event-id.js";

/** A header as Node returns it: each byte of the wire as one character. */
function asReceived(value: string): string {
  return Buffer.from(value, "utf8").toString("latin1");
}

describe("readLastEventId", () => {
  it("is empty if the client reports none", () => {
    expect(readLastEventId(undefined, "")).toBe("");
    expect(readLastEventId(undefined, "/news")).toBe("");
    expect(readLastEventId(undefined, "/news?")).toBe("");
    expect(readLastEventId(undefined, "/news?other=1")).toBe("");
    expect(readLastEventId(undefined, "/lastEventId=7")).toBe("");
  });

  it("reads the header", () => {
    expect(readLastEventId("42", "/news")).toBe("42");
    expect(readLastEventId("~end", "/news")).toBe("~end");
  });

  it("reads the query parameter, with exactly this spelling", () => {
    expect(readLastEventId(undefined, "/news?lastEventId=42")).toBe("42");
    expect(readLastEventId(undefined, "/news?a=b&lastEventId=42&c=d")).toBe("42");
    expect(readLastEventId(undefined, "?lastEventId=42")).toBe("42");
    expect(readLastEventId(undefined, "/news?lasteventid=42")).toBe("");
    expect(readLastEventId(undefined, "/news?lastEventId")).toBe("");
  });

  it("takes the first of several query parameters", () => {
    expect(readLastEventId(undefined, "/news?lastEventId=1&lastEventId=2")).toBe("1");
  });

  it("prefers the header to the query parameter, even if it is empty", () => {
    expect(readLastEventId("7", "/news?lastEventId=42")).toBe("7");
    expect(readLastEventId("", "/news?lastEventId=42")).toBe("");
  });

  it("joins a header given as an array, as Node joins a repeated one", () => {
    expect(readLastEventId(["1", "2"], "/")).toBe("1, 2");
    expect(readLastEventId([], "/?lastEventId=42")).toBe("");
  });

  it.each(["é", "日本", "\u{1F600}", "a–b"])("decodes the header as UTF-8: %s", (id) => {
    expect(readLastEventId(asReceived(id), "/")).toBe(id);
  });

  it("returns replacement characters for a header that is not UTF-8", () => {
    expect(readLastEventId("\u00e9", "/")).toBe("\ufffd");
  });

  it("does not decode a percent sign in the header", () => {
    expect(readLastEventId("%41", "/")).toBe("%41");
  });

  it.each([
    ["%31%2E5~a", "1.5~a"],
    ["%C3%A9", "é"],
    ["%F0%9F%98%80", "\u{1F600}"],
    ["a+b", "a b"],
    ["%zz", "%zz"],
    ["%E9", "\ufffd"],
    ["%00", "\0"],
  ])("decodes the query parameter: %s", (encoded, id) => {
    expect(readLastEventId(undefined, `/?lastEventId=${encoded}`)).toBe(id);
  });
});
