/** Compares the Tidewire subjects with the same subjects of another checkout. */

import { findFigure } from "./figure.js";
import type { Figure } from "./figure.js";
import { ratioOf } from "./statistics.js";
import { formatRatio, formatStatistics } from "./table.js";
import type { Table } from "./table.js";

/**
 * @param figures - Figures of a suite.
 * @param label - The other checkout's label.
 * @returns A table for each kind of figure. Ratios are paired: both values come from the same round.
 */
export function compare(figures: readonly Figure[], label: string): Table[] {
  const mark = `@${label}`;
  const others = figures.filter(({ subject }) => subject.includes(mark));
  return [...new Set(others.map(({ what }) => what))].map((what) => ({
    title: `Against ${label}: ${what}`,
    columns: ["", "this checkout", label, "ratio"],
    rows: others
      .filter((figure) => figure.what === what)
      .map((other) => {
        const own = findFigure(figures, { ...other, subject: other.subject.replace(mark, "") });
        return [
          `${other.subject.replace(mark, "")}, ${other.in}`,
          formatStatistics(own),
          formatStatistics(other),
          formatRatio(ratioOf(own, other)),
        ];
      }),
  }));
}
