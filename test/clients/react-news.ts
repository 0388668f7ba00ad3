// A component with the hooks for React, rendered on the server and in the page.
import { useEvents, useStatus, useStream } from "@tidewire/client/react";
import { createElement, useState } from "react";
import type { ReactNode } from "react";

/** Properties of {@link News}. */
export interface NewsProperties {
  readonly url: string | null;
  /** Called with each number, also with one that is not rendered any more. */
  readonly onNumber: (number: number) => void;
}

/** Renders the state of a stream and its last three numbers. */
export function News({ url, onNumber }: NewsProperties): ReactNode {
  const [numbers, setNumbers] = useState<readonly number[]>([]);
  const stream = useStream<{ news: { n: number } }>(url, { reconnectionTimeMs: 100 });
  const status = useStatus(stream);
  useEvents(stream, {
    n: (number) => {
      onNumber(number);
      setNumbers((before) => [...before.slice(-2), number]);
    },
  });
  return createElement("p", null, `${status.state}: ${numbers.join()}`);
}
