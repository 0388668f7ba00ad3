import { Remote } from "../remote.js";
import { ENCODE_CASES } from "../encode-protocol.js";
import type { EncodeProtocol } from "../encode-protocol.js";
import { findFigure, ratioTo } from "../figure.js";
import type { Figure, FigureName } from "../figure.js";
import { measureInRounds } from "../rounds.js";
import { summarize } from "../statistics.js";
import type { Suite, SuiteContext, SuiteOutcome } from "../suite.js";
import { formatFigure, formatRatio } from "../table.js";

const PROGRAM = new URL("../encode-process.js", import.meta.url);
const EVENTS = 50_000;
const CASES = Object.keys(ENCODE_CASES) as (keyof typeof ENCODE_CASES)[];
const WAYS = ["publish", "stringify"] as const;
const NAMES = {
  publish: "hub.publish without clients",
  stringify: "Buffer.from(JSON.stringify())",
} as const;
const WHAT = "µs per event";

export const encode: Suite = {
  name: "encode",
  title: "Encode: cost of an event before its delivery",
  method:
    "`hub.publish` of a string on a channel without clients: checking, encoding, an ID, and keeping it for replay. The comparison is `Buffer.from(JSON.stringify(text))` of the same text. The ratio is the median of the rounds' ratios, each of two measurements in a row.",
  run,
};

async function run(context: SuiteContext): Promise<SuiteOutcome> {
  const events = context.isQuick ? EVENTS / 10 : EVENTS;
  const remote = new Remote<EncodeProtocol>("The encoder", PROGRAM);
  try {
    const entries = CASES.flatMap((name) => WAYS.map((way) => ({ name, way })));
    const results = await measureInRounds(
      entries,
      context,
      ({ name, way }) => ({ subject: NAMES[way], in: name }),
      ({ name, way }) => remote.call("measure", { name, way, events }),
    );
    const figures = [...results].map(([{ name, way }, rounds]): Figure => ({
      subject: NAMES[way],
      in: name,
      what: WHAT,
      ...summarize(rounds),
    }));
    return outcome(figures, events);
  } finally {
    await remote.stop();
  }
}

function outcome(figures: readonly Figure[], events: number): SuiteOutcome {
  const nameOf = (name: string, way: keyof typeof NAMES): FigureName => ({
    subject: NAMES[way],
    in: name,
    what: WHAT,
  });
  return {
    parameters: { "events in a round": events },
    figures,
    tables: [
      {
        title: "µs per event",
        columns: ["", NAMES.publish, NAMES.stringify, "ratio"],
        rows: CASES.map((name) => [
          name,
          formatFigure(findFigure(figures, nameOf(name, "publish"))?.median),
          formatFigure(findFigure(figures, nameOf(name, "stringify"))?.median),
          formatRatio(ratioTo(figures, nameOf(name, "publish"), { subject: NAMES.stringify })),
        ]),
      },
    ],
    targets: [],
  };
}
