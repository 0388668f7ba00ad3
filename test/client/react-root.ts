/** A page in this process, in which the real React renders. Import it before `react-dom`, which looks for the page once. */

import { Window } from "happy-dom";
import type { ReactNode } from "react";
import { afterEach, expect, vi } from "vitest";

const window = new Window({ url: "http://page.example/" });
const { document, navigator } = window;
for (const [name, value] of Object.entries({ window, document, navigator })) {
  // Node 21 and later have a `navigator` that cannot be assigned.
  Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
}
const { createRoot, hydrateRoot } = await import("react-dom/client");

/** A complaint of React fails any test, such as one about HTML of the server that does not match. */
const complain = vi.spyOn(console, "error");
const roots = new Set<{ unmount(): void }>();

afterEach(() => {
  for (const root of roots) root.unmount();
  roots.clear();
  expect(complain.mock.calls.splice(0)).toEqual([]);
});

/** A place in the page where React renders, until the test has ended. */
export interface Rendered {
  readonly text: string;
  /** Errors that no error boundary has caught, and HTML of the server that does not match. */
  readonly errors: readonly unknown[];
  render(node: ReactNode): void;
  unmount(): void;
}

/** Renders into a new place, or takes over the HTML that a server has rendered. */
export function renderInto(node: ReactNode, html?: string): Rendered {
  const container = document.createElement("div");
  document.body.append(container);
  const errors: unknown[] = [];
  const record = (error: unknown): void => void errors.push(error);
  const options = { onUncaughtError: record, onRecoverableError: record };
  if (html !== undefined) container.innerHTML = html;
  const root =
    html === undefined ? createRoot(container, options) : hydrateRoot(container, node, options);
  roots.add(root);
  if (html === undefined) root.render(node);
  return {
    get text() {
      return container.textContent ?? "";
    },
    errors,
    render: (next) => root.render(next),
    unmount() {
      root.unmount();
      roots.delete(root);
    },
  };
}
