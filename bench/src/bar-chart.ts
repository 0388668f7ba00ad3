import type { SubjectKind } from "./catalogue.js";

/** One line of the chart. */
export interface Bar {
  readonly label: string;
  readonly value: number;
  readonly kind: SubjectKind;
}

const WIDTH = 760;
const LABEL_WIDTH = 150;
const VALUE_WIDTH = 60;
const TOP = 74;
const LINE = 28;
const BAR = 18;
const AXIS = 52;

/** Names of the kinds in the key. */
const KINDS = {
  tidewire: "Tidewire",
  control: "bare Node, no library",
  peer: "other libraries",
} as const satisfies Record<SubjectKind, string>;

// Follows the reader's system setting: an image in a page cannot know the page's own colours.
const STYLE = `
    text { font-family: system-ui, "Segoe UI", Helvetica, Arial, sans-serif; font-size: 13px; fill: #1f2328; }
    .background { fill: #ffffff; }
    .title { font-size: 16px; font-weight: 600; }
    .quiet { fill: #59636e; font-size: 12px; }
    .grid { stroke: #d1d9e0; stroke-width: 1; }
    .tidewire { fill: #0969da; } .control { fill: #afb8c1; } .peer { fill: #6e7781; }
    text.tidewire { font-weight: 700; }
    .value { paint-order: stroke; stroke: #ffffff; stroke-width: 5px; }
    text.control, text.peer { fill: #1f2328; }
    @media (prefers-color-scheme: dark) {
      text, text.control, text.peer { fill: #e6edf3; }
      .background { fill: #0d1117; }
      .value { stroke: #0d1117; }
      .quiet { fill: #9198a1; }
      .grid { stroke: #3d444d; }
      .tidewire { fill: #4493f8; } text.tidewire { fill: #4493f8; }
      .control { fill: #3d444d; } .peer { fill: #7d8590; }
    }`;

/**
 * Draws horizontal bars.
 *
 * @param title - The figure that is shown, with its unit.
 * @param subtitle - How it was measured.
 * @param bars - From the top.
 * @returns The text of an SVG image.
 */
export function drawBars(title: string, subtitle: string, bars: readonly Bar[]): string {
  const largest = Math.max(...bars.map(({ value }) => value));
  const step = stepFor(largest);
  const end = Math.ceil(largest / step) * step;
  const scale = (WIDTH - LABEL_WIDTH - VALUE_WIDTH) / end;
  const bottom = TOP + bars.length * LINE;
  const height = bottom + AXIS;
  const x = (value: number): string => (LABEL_WIDTH + value * scale).toFixed(1);
  const ticks = Array.from({ length: Math.round(end / step) + 1 }, (_, tick) => tick * step);
  const parts = [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img" aria-label="${escapeXml(title)}">`,
    `<style>${STYLE}\n  </style>`,
    `<rect class="background" width="${WIDTH}" height="${height}" rx="6"/>`,
    `<text class="title" x="16" y="28">${escapeXml(title)}</text>`,
    `<text class="quiet" x="16" y="50">${escapeXml(subtitle)}</text>`,
    ...ticks.flatMap((tick) => [
      `<line class="grid" x1="${x(tick)}" x2="${x(tick)}" y1="${TOP - 6}" y2="${bottom}"/>`,
      `<text class="quiet" x="${x(tick)}" y="${bottom + 16}" text-anchor="middle">${tick}</text>`,
    ]),
    ...bars.flatMap((bar, line) => drawBar(bar, TOP + line * LINE, bar.value * scale)),
    ...drawKey(bottom + 40),
    "</svg>",
  ];
  return `${parts.join("\n  ").replace(/\n {2}<\/svg>$/, "\n</svg>")}\n`;
}

function drawBar({ label, value, kind }: Bar, top: number, width: number): string[] {
  const middle = top + LINE / 2;
  return [
    `<text class="${kind}" x="${LABEL_WIDTH - 10}" y="${middle + 4.5}" text-anchor="end">${escapeXml(label)}</text>`,
    `<rect class="${kind}" x="${LABEL_WIDTH}" y="${middle - BAR / 2}" width="${width.toFixed(1)}" height="${BAR}" rx="2"/>`,
    `<text class="${kind} value" x="${(LABEL_WIDTH + width + 8).toFixed(1)}" y="${middle + 4.5}">${value.toFixed(1)}</text>`,
  ];
}

function drawKey(y: number): string[] {
  return (["tidewire", "control", "peer"] as const).flatMap((kind, at) => {
    const left = LABEL_WIDTH + at * 170;
    return [
      `<rect class="${kind}" x="${left}" y="${y - 10}" width="12" height="12" rx="2"/>`,
      `<text class="quiet" x="${left + 18}" y="${y}">${KINDS[kind]}</text>`,
    ];
  });
}

/** @returns A round step that gives four to nine grid lines. */
function stepFor(largest: number): number {
  const power = 10 ** Math.floor(Math.log10(largest / 4));
  const step = [1, 2, 5].find((one) => largest / (one * power) <= 9);
  return (step ?? 10) * power;
}

function escapeXml(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll('"', "&quot;");
}
