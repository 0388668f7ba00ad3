import { eventText } from "./event-text.js";

/** Texts that are encoded. */
export const ENCODE_CASES = {
  "100 B": eventText(0, 100),
  "4 KB": eventText(0, 4_096),
  "4 KB in 64 lines": Array.from({ length: 64 }, (_, line) => eventText(line, 63)).join("\n"),
} as const;

/** The calls that the encoding process answers. */
export interface EncodeProtocol {
  /** @returns Microseconds of wall time per event. */
  measure(order: {
    readonly name: keyof typeof ENCODE_CASES;
    readonly way: "publish" | "stringify";
    readonly events: number;
  }): Promise<number>;
}
