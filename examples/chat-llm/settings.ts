import { StartError } from "../cluster/start-error.js";

/** @returns The port of the demo, from `PORT`. */
export function readPort(): number {
  return readWhole("PORT", 3_000, 1, 65_535);
}

/** @returns Time that the model takes for a token in milliseconds, from `TOKEN_MS`. */
export function readTokenMs(): number {
  return readWhole("TOKEN_MS", 90, 1, 10_000);
}

/** @returns The address to listen on, from `HOST`. Other devices reach the demo only if it is not the default. */
export function readHost(): string {
  return process.env["HOST"] || "127.0.0.1";
}

/** @throws {StartError} If the variable is not a whole number in the range. */
function readWhole(name: string, byDefault: number, min: number, max: number): number {
  const given = process.env[name];
  const value = Number(given ?? byDefault);
  if (Number.isInteger(value) && value >= min && value <= max) return value;
  throw new StartError(
    `Expected ${name} to be a whole number from ${min} to ${max}, got ${JSON.stringify(given)}.`,
  );
}
