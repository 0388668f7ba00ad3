import type { Statistics } from "./statistics.js";
import { formatFigure, withInterval } from "./table.js";

/** A requirement for a figure, and whether it is met. */
export interface Target {
  readonly text: string;
  /** The median with its interval and unit. */
  readonly measured: string;
  /** Decided by the median. */
  readonly isMet: boolean;
}

/** Creates a target that is met by a median up to a limit. */
export function atMost(
  text: string,
  value: Statistics | undefined,
  limit: number,
  unit = "",
): Target | undefined {
  return makeTarget(text, value, limit, unit, (median) => median <= limit);
}

/** Creates a target that is met by a median below a limit. */
export function lessThan(
  text: string,
  value: Statistics | undefined,
  limit: number,
  unit = "",
): Target | undefined {
  return makeTarget(text, value, limit, unit, (median) => median < limit);
}

/** Creates a target that is met by a median of at least a limit. */
export function atLeast(
  text: string,
  value: Statistics | undefined,
  limit: number,
): Target | undefined {
  return makeTarget(text, value, limit, "", (median) => median >= limit);
}

function makeTarget(
  text: string,
  value: Statistics | undefined,
  limit: number,
  unit: string,
  isMet: (median: number) => boolean,
): Target | undefined {
  if (value === undefined || !Number.isFinite(value.median)) return undefined;
  const format = (one: number): string => formatBeside(one, limit);
  return { text, measured: withInterval(value, format, unit), isMet: isMet(value.median) };
}

/** @returns A figure with as many digits as it takes to differ from a limit: 1.252 beside 1.25. */
function formatBeside(value: number, limit: number): string {
  let text = formatFigure(value);
  const isLimit = (): boolean => value !== limit && Number(text.replaceAll(" ", "")) === limit;
  for (let digits = 3; digits <= 6 && isLimit(); digits++) text = value.toFixed(digits);
  return text;
}

/** @returns The targets that could be decided. */
export function decided(targets: readonly (Target | undefined)[]): Target[] {
  return targets.filter((target) => target !== undefined);
}

/** @returns A line for each target. */
export function formatTargets(targets: readonly Target[]): string {
  const width = Math.max(...targets.map(({ text }) => text.length));
  return targets
    .map(
      ({ text, measured, isMet }) =>
        `    ${isMet ? "met   " : "MISSED"}  ${text.padEnd(width)}  ${measured}`,
    )
    .join("\n");
}
