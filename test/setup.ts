import { afterAll, afterEach, expect } from "vitest";

/** Faults that fail any test, whatever it checks. */
const faults: unknown[] = [];
const record = (fault: unknown): void => void faults.push(fault);
const recordWarning = (warning: Error): void => {
  if (warning.name === "MaxListenersExceededWarning") faults.push(warning);
};

process.on("unhandledRejection", record);
process.on("uncaughtExceptionMonitor", record);
process.on("warning", recordWarning);

afterEach(() => {
  expect(faults.splice(0)).toEqual([]);
});

afterAll(() => {
  process.off("unhandledRejection", record);
  process.off("uncaughtExceptionMonitor", record);
  process.off("warning", recordWarning);
});
