import { describe, expect, it } from "vitest";
import { Attendance } from "../../src/presence/attendance.js";

describe("Attendance", () => {
  it("counts the streams of an identity on each channel", () => {
    const attendance = new Attendance(100);
    expect(attendance.joined("a", "ada")).toBe(true);
    expect(attendance.joined("a", "ada")).toBe(false);
    expect(attendance.joined("b", "ada")).toBe(true);
    expect(attendance.left("a", "ada")).toBe(false);
    expect(attendance.has("a", "ada")).toBe(true);
    expect(attendance.left("a", "ada")).toBe(true);
    expect(attendance.has("a", "ada")).toBe(false);
    expect([...attendance]).toEqual([["b", ["ada"]]]);
    expect(attendance.isEmpty).toBe(false);
    expect(attendance.left("b", "ada")).toBe(true);
    expect(attendance.isEmpty).toBe(true);
  });

  it("keeps an identity for a while after its last stream has closed", () => {
    const attendance = new Attendance(100);
    attendance.joined("a", "ada");
    attendance.joined("a", "ada");
    attendance.closed("a", "ada", 10);
    expect(attendance.nextAt).toBeUndefined();
    attendance.closed("a", "ada", 20);
    expect(attendance.nextAt).toBe(120);
    expect(attendance.expire(119)).toEqual([]);
    expect(attendance.has("a", "ada")).toBe(true);
    expect(attendance.expire(120)).toEqual([{ channel: "a", identity: "ada", at: 20 }]);
    expect(attendance.isEmpty).toBe(true);
    expect(attendance.nextAt).toBeUndefined();
  });

  it("forgets that an identity has left once it is back", () => {
    const attendance = new Attendance(100);
    attendance.joined("a", "ada");
    attendance.closed("a", "ada", 10);
    expect(attendance.joined("a", "ada")).toBe(false);
    expect(attendance.expire(110)).toEqual([]);
    attendance.closed("a", "ada", 50);
    attendance.joined("a", "ada");
    attendance.closed("a", "ada", 90);
    expect(attendance.expire(189)).toEqual([]);
    expect(attendance.expire(190)).toHaveLength(1);
    expect(attendance.nextAt).toBeUndefined();
  });

  it("ignores streams that it does not know", () => {
    const attendance = new Attendance(100);
    attendance.closed("a", "ada", 10);
    expect(attendance.left("a", "ada")).toBe(false);
    attendance.joined("a", "ada");
    attendance.closed("a", "ada", 10);
    attendance.closed("a", "ada", 20);
    expect(attendance.left("a", "ada")).toBe(false);
    expect(attendance.expire(110)).toHaveLength(1);
  });
});
