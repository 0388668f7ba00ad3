import type { Statistics } from "./statistics.js";

/** A table for the terminal and the page. */
export interface Table {
  readonly title: string;
  /** Column headers. The first column is text, the others are figures. */
  readonly columns: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

/** @returns The table in columns of equal width. */
export function formatTable({ title, columns, rows }: Table): string {
  const lines = [columns, ...rows];
  const widths = columns.map((_, column) =>
    Math.max(...lines.map((line) => (line[column] ?? "").length)),
  );
  const formatted = lines.map((line) =>
    widths
      .map((width, column) => {
        const cell = line[column] ?? "";
        return column === 0 ? cell.padEnd(width) : cell.padStart(width);
      })
      .join("  "),
  );
  formatted.splice(1, 0, widths.map((width) => "-".repeat(width)).join("  "));
  return [`  ${title}`, ...formatted.map((line) => `    ${line}`)].join("\n");
}

/** @returns A figure with a sensible number of digits; "–" if there is none. */
export function formatFigure(value: number | undefined): string {
  if (value === undefined || !Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  if (size >= 1_000) return groupThousands(Math.round(value));
  return value.toFixed(size >= 100 ? 0 : size >= 10 ? 1 : 2);
}

/** @returns The median and its interval: `9.65 (9.31 to 9.98)`; "–" if there is none. */
export function formatStatistics(statistics: Statistics | undefined): string {
  return withInterval(statistics, formatFigure);
}

/** @returns Same as `formatStatistics`: `1.05× (1.02 to 1.08)`. */
export function formatRatio(ratio: Statistics | undefined): string {
  return withInterval(ratio, (value) => value.toFixed(2), "×");
}

/**
 * @param format - Formats one value.
 * @param unit - Follows the median.
 */
export function withInterval(
  statistics: Statistics | undefined,
  format: (value: number) => string,
  unit = "",
): string {
  if (statistics === undefined || !Number.isFinite(statistics.median)) return "–";
  const { median, low, high } = statistics;
  return `${format(median)}${unit} (${format(low)} to ${format(high)})`;
}

/** @returns A whole number such as `10 000`. */
export function groupThousands(value: number): string {
  return String(value).replaceAll(/\B(?=(\d{3})+$)/g, " ");
}
