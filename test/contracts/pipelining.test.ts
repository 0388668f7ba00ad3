/** Many requests on one connection, and heads that other code takes part in. */

import type { Session } from "@tidewire/core";
import { expect, it } from "vitest";
import { eventually, knock, request, within } from "../client.js";
import { BINDINGS } from "./bindings.js";
import { RawClient } from "./raw-capture.js";

const HTTP1 = BINDINGS.filter(({ protocol }) => protocol === "http1");

it.each(HTTP1)(
  "$name: a connection with 500 pipelined requests for streams holds one session",
  async (binding) => {
    const served = await binding.serve(({ sse }) => void sse.subscribe("t"), {
      heartbeatMs: false,
      maxSessions: 10,
    });
    const client = await RawClient.open(served.port);
    let closed: Promise<void> | undefined;
    try {
      client.get(
        Array.from({ length: 500 }, () => "/"),
        "1.1",
        "Accept: text/event-stream\r\n",
      );
      await client.untilBody("sse-cursor");
      expect(served.hub.stats().sessions).toEqual({ connecting: 0, open: 1, live: 1, behind: 0 });
      const other = await RawClient.open(served.port);
      other.get(["/"]);
      await other.untilBody("sse-cursor");
      expect(served.hub.sessionCount).toBe(2);
      other.socket.destroy();
      closed = served.close();
      await within("close()", closed, 3_000);
      expect(served.hub.stats().sessions).toEqual({ connecting: 0, open: 0, live: 0, behind: 0 });
    } finally {
      client.socket.destroy();
      await (closed ?? served.close());
    }
  },
);

it.each(HTTP1)(
  "$name: a pipelined stream opens when the previous one has ended, and misses nothing from then on",
  async (binding) => {
    const sessions: Session[] = [];
    const served = await binding.serve(
      ({ sse }) => {
        sessions.push(sse);
        void sse.subscribe("t");
      },
      { heartbeatMs: false },
    );
    const client = await RawClient.open(served.port);
    try {
      client.get(["/a", "/b"]);
      await eventually("both handlers", () => sessions.length === 2);
      await client.untilBody("sse-cursor");
      await served.hub.publish("t", "one");
      await client.untilBody("data: one");
      expect(sessions.map(({ state }) => state)).toEqual(["open", "connecting"]);
      sessions[0]?.close();
      await client.untilBody("sse-cursor", 1);
      expect(sessions[1]?.state).toBe("open");
      await served.hub.publish("t", "two");
      await client.untilBody("data: two", 1);
      // It subscribed before the first event was published.
      expect(client.response(1).body.toString()).toContain("data: one");
    } finally {
      client.socket.destroy();
      await served.close();
    }
  },
);

it.each(HTTP1)(
  "$name: a client that leaves with requests in the pipeline leaves nothing behind",
  async (binding) => {
    let closed = 0;
    const served = await binding.serve(
      ({ sse }) => {
        sse.onClose(() => (closed += 1));
        void sse.subscribe("t");
      },
      { heartbeatMs: false },
    );
    const client = await RawClient.open(served.port);
    try {
      client.get(Array.from({ length: 20 }, () => "/"));
      await client.untilBody("sse-cursor");
      client.socket.destroy();
      await eventually("all to be closed", () => closed === 20);
      expect(served.hub.channel("t").subscriptionCount).toBe(0);
    } finally {
      await served.close();
    }
  },
);

it.each(BINDINGS)(
  "$name: a stream that waits for CORS is counted as connecting",
  async (binding) => {
    let allow = (): void => {};
    const sessions: Session[] = [];
    const served = await binding.serve(
      ({ sse }) => {
        sessions.push(sse);
        sse.open();
      },
      { cors: { origin: (_origin, callback) => void (allow = () => callback(null, true)) } },
    );
    const count = (): unknown => served.hub.stats().sessions;
    try {
      const answer = request(served, "/", { headers: { origin: "https://good.example" } });
      await eventually("the session", () => sessions.length === 1);
      expect([sessions[0]?.state, count()]).toEqual([
        "connecting",
        { connecting: 1, open: 0, live: 0, behind: 0 },
      ]);
      allow();
      const client = await answer;
      expect(count()).toEqual({ connecting: 0, open: 1, live: 0, behind: 0 });
      client.cut();
      await eventually("the client to be gone", () => sessions[0]?.state === "closed");
      expect(count()).toEqual({ connecting: 0, open: 0, live: 0, behind: 0 });
    } finally {
      await served.close();
    }
  },
);

it.each(BINDINGS)(
  "$name: a client that leaves while it waits for CORS is counted no more",
  async (binding) => {
    const sessions: Session[] = [];
    const served = await binding.serve(
      ({ sse }) => {
        sessions.push(sse);
        sse.open();
      },
      { cors: { origin: () => {} } },
    );
    try {
      const client = await knock(served, "/", { origin: "https://good.example" });
      await eventually("the session", () => sessions.length === 1);
      expect(served.hub.stats().sessions.connecting).toBe(1);
      client.cut();
      await eventually("it to be gone", () => served.hub.stats().sessions.connecting === 0);
      expect(sessions[0]?.closeReason).toBe("client");
    } finally {
      await served.close();
    }
  },
);

it.each(BINDINGS)("$name: a Vary of open() is added to that of CORS", async (binding) => {
  const served = await binding.serve(
    ({ sse }) => void sse.open({ headers: { Vary: "Accept-Language" } }),
    { cors: { origin: ["https://good.example"], credentials: true } },
  );
  try {
    const client = await request(served, "/", { headers: { origin: "https://good.example" } });
    const vary = String(client.headers["vary"]).split(/, */);
    expect(vary).toContain("Origin");
    expect(vary).toContain("Accept-Language");
    client.cut();
  } finally {
    await served.close();
  }
});
