// A client of the soak of runs: it follows one run to its end, over many connections, and checks what it gets.
import http from "node:http";
import { createParser } from "eventsource-parser";

/** Result of following a run. */
export interface Visit {
  readonly key: string;
  /** Id of the run; `""` if there was none. */
  readonly runId: string;
  /** Number of items. */
  readonly items: number;
  /** The outcome; `gone` if the answer was 204. */
  readonly outcome: string;
  /** Descriptions of everything that was wrong. */
  readonly faults: readonly string[];
}

/** Follows a run from its beginning, whatever becomes of its connections. */
export class RunFollower {
  readonly key: string;
  /** Time of the last item or connection. */
  progressAt: number = performance.now();
  /** Set once the run is over for this client. */
  visit: Visit | undefined;
  /** Port of the node that it is connected to; `undefined` while it is not. */
  port: number | undefined;
  #request: http.ClientRequest | undefined;
  #runId = "";
  #items = 0;
  #lastEventId = "";
  readonly #faults: string[] = [];

  constructor(key: string) {
    this.key = key;
  }

  connect(port: number): void {
    this.port = port;
    this.progressAt = performance.now();
    const headers = {
      accept: "text/event-stream",
      ...(this.#lastEventId !== "" && { "last-event-id": this.#lastEventId }),
    };
    const path = `/?key=${this.key}`;
    const request = http.get({ host: "127.0.0.1", port, path, headers, agent: false });
    this.#request = request;
    const over = (): void => {
      if (this.#request === request) this.#disconnect();
    };
    request.on("error", over);
    request.on("response", (response) => {
      if (response.statusCode === 204) this.#finish("gone");
      else if (response.statusCode !== 200) this.#faults.push(`Status ${response.statusCode}`);
      const parser = createParser({
        onEvent: ({ id = "", event, data }) => {
          if (this.#request === request) this.#take(id, event, data);
        },
      });
      response.setEncoding("utf8");
      response.on("data", (text: string) => parser.feed(text));
      response.on("error", over);
      response.on("close", over);
    });
  }

  /** Data that was not parsed yet is lost, as in a browser that loses its connection. */
  cut(): void {
    this.#request?.destroy();
    this.#disconnect();
  }

  #disconnect(): void {
    this.#request = undefined;
    this.port = undefined;
  }

  #take(id: string, event: string | undefined, data: string): void {
    this.progressAt = performance.now();
    this.#lastEventId = id;
    if (event === "end") return this.#finish(data);
    const [runId = "", number] = data.split(":");
    if (this.#runId === "") this.#runId = runId;
    this.#items += 1;
    const expected = `${this.#runId}:${this.#items}`;
    if (data !== expected) this.#faults.push(`Got ${data}, expected ${expected}`);
    if (id !== `${runId}.${number}`) this.#faults.push(`The item ${data} has the id ${id}`);
  }

  #finish(outcome: string): void {
    this.visit = {
      key: this.key,
      runId: this.#runId,
      items: this.#items,
      outcome,
      faults: this.#faults,
    };
    this.cut();
  }
}
