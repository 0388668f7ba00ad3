import { ratioOf } from "./statistics.js";
import type { Statistics } from "./statistics.js";

/** Says which figure of a suite is meant. */
export interface FigureName {
  readonly subject: string;
  /** Which of the suite's cases. */
  readonly in: string;
  /** Name of the measurement, with its unit. */
  readonly what: string;
}

/** One measured figure. */
export interface Figure extends FigureName, Statistics {}

/** @returns The figure of that name; `undefined` if it was not measured. */
export function findFigure(
  figures: readonly Figure[],
  { subject, in: place, what }: FigureName,
): Figure | undefined {
  return figures.find(
    (figure) => figure.subject === subject && figure.in === place && figure.what === what,
  );
}

/**
 * Divides a figure by that of another subject or of another case, round by round.
 *
 * @param figures - Those of a suite.
 * @param name - The figure, or its name.
 * @param other - In what the name of the other differs.
 * @returns The ratios of all rounds; `undefined` if one of the two was not measured.
 */
export function ratioTo(
  figures: readonly Figure[],
  name: FigureName,
  other: Partial<FigureName>,
): Statistics | undefined {
  return ratioOf(findFigure(figures, name), findFigure(figures, { ...name, ...other }));
}
