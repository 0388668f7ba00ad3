import { ratioOf } from "./statistics.js";
import type { Statistics } from "./statistics.js";

/** Identifies a figure of a suite. */
export interface FigureName {
  readonly subject: string;
  /** Name of the suite's case. */
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
 * Divides a figure by another subject's or another case's, round by round.
 *
 * @param figures - Figures of a suite.
 * @param name - The figure, or its name.
 * @param other - Parts of the name in which the other figure differs.
 * @returns The ratios of all rounds; `undefined` if either was not measured.
 */
export function ratioTo(
  figures: readonly Figure[],
  name: FigureName,
  other: Partial<FigureName>,
): Statistics | undefined {
  return ratioOf(findFigure(figures, name), findFigure(figures, { ...name, ...other }));
}
