import { formatFigure } from "./table.js";

/** Something that a figure should be, and whether it is. */
export interface Target {
  readonly text: string;
  readonly measured: string;
  readonly isMet: boolean;
}

/** Makes a target that is met by a value up to a limit. */
export function atMost(
  text: string,
  value: number | undefined,
  limit: number,
  unit = "",
): Target | undefined {
  if (value === undefined || !Number.isFinite(value)) return undefined;
  return { text, measured: `${formatFigure(value)}${unit}`, isMet: value <= limit };
}

/** Makes a target that is met by a value below a limit. */
export function lessThan(
  text: string,
  value: number | undefined,
  limit: number,
  unit = "",
): Target | undefined {
  const target = atMost(text, value, limit, unit);
  return target === undefined ? undefined : { ...target, isMet: target.isMet && value !== limit };
}

/** Makes a target that is met by a value of at least a limit. */
export function atLeast(
  text: string,
  value: number | undefined,
  limit: number,
): Target | undefined {
  if (value === undefined || !Number.isFinite(value)) return undefined;
  return { text, measured: formatFigure(value), isMet: value >= limit };
}

/** @returns Those that could be decided. */
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
