import { expect, it } from "vitest";
import { beginTurn, renewOnce } from "../src/renewal.js";

it("Requests that are refused while a renewal runs share it, and so do those that began before it had ended", async () => {
  let calls = 0;
  let finish = (): void => {};
  const renew = (): Promise<void> => {
    calls += 1;
    return new Promise((resolve) => {
      finish = resolve;
    });
  };
  const [first, second, third] = [beginTurn(), beginTurn(), beginTurn()];
  const renewals = [renewOnce(renew, first, 401), renewOnce(renew, second, 401)];
  finish();
  await Promise.all(renewals);
  await renewOnce(renew, third, 401);
  expect(calls).toBe(1);

  const later = renewOnce(renew, beginTurn(), 401);
  finish();
  await later;
  expect(calls).toBe(2);
});

it("A function that throws rejects, for all that share it", async () => {
  const error = new Error("no token");
  const renew = (): never => {
    throw error;
  };
  const turn = beginTurn();
  await expect(renewOnce(renew, turn, 403)).rejects.toBe(error);
});
