import type { SseMessage } from "@tidewire/core";
import { startClock } from "./clock.js";
import { startWeather } from "./weather.js";

/** Clock and weather as one sequence of events, the same for every client of either server. */
export interface Feed {
  /** What a client has to be told first: the weather everywhere. */
  snapshot(): SseMessage[];
  /** @returns Leaves the feed. */
  follow(listener: (message: SseMessage) => void): () => void;
  stop(): void;
}

/** Starts the sources. */
export function startFeed(): Feed {
  const listeners = new Set<(message: SseMessage) => void>();
  // Begins with the time, so that ids go on growing when the showcase is started anew.
  let id = Date.now();
  const tell = (event: string, data: unknown): void => {
    id += 1;
    for (const listener of listeners) listener({ id: String(id), event, data });
  };
  const stopClock = startClock((tick) => tell("time", tick));
  const weather = startWeather((change) => tell("weather", change));

  return {
    snapshot: () => weather.current().map((data) => ({ event: "weather", data })),
    follow(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    stop() {
      stopClock();
      weather.stop();
    },
  };
}
