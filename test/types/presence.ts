import { connect } from "@tidewire/client";
import { createHub } from "@tidewire/core";
import type {
  Hub,
  PresenceChannel,
  PresenceEvents,
  PresenceOptions,
  PresentIdentities,
  Session,
} from "@tidewire/core";
import { sseHandler } from "@tidewire/express";
import { sseHandler as fastifyHandler } from "@tidewire/fastify";
import type { Channels } from "./accepted.js";

/** Subscriptions and queries that must compile. */
export async function follow(
  hub: Hub<Channels>,
  sse: Session<Channels>,
  name: string,
): Promise<string[]> {
  await sse.subscribe("~presence:news");
  await sse.subscribe(["news", "~presence:news", `~presence:user:${name}`]);
  sse.unsubscribe(["~presence:news", "news"]);
  const names: string[] = await hub.presence("news");
  names.push(...(await hub.presence(`user:${name}`)));
  const channel: PresenceChannel<"news"> = "~presence:news";
  await sse.subscribe(channel);
  return names;
}

export const routes: unknown[] = [
  sseHandler<Channels>(["news", "~presence:news"]),
  sseHandler<Channels>(() => "~presence:news"),
  fastifyHandler<Channels>(["news", "~presence:news"]),
  // @ts-expect-error -- There is no such channel.
  sseHandler<Channels>(["news", "~presence:sport"]),
];

/** A page that shows who is present. */
export function shown(): void {
  const stream = connect<Channels & { presence: PresenceEvents }>("/events");
  const present = new Set<string>();
  stream.on("presence", ({ identities }) => {
    present.clear();
    for (const identity of identities) present.add(identity);
  });
  stream.on("presence-join", (data) => {
    const joined: PresentIdentities = data;
    void joined.channel.startsWith("room");
  });
  // @ts-expect-error -- There is no such event.
  stream.on("presence-joined", () => {});
}

export const hubs: Hub[] = [
  createHub({ identify: () => "ada", presence: true }),
  createHub({ identify: () => "ada", presence: { channels: (name) => name.startsWith("room") } }),
];

export const options: PresenceOptions = { lingerMs: 0, leaseMs: undefined };

/** Calls that must not compile; never run. */
function refused(hub: Hub<Channels>, sse: Session<Channels>): void {
  // @ts-expect-error -- There is no such channel.
  void sse.subscribe("~presence:sport");
  // @ts-expect-error -- There is no such channel.
  void hub.presence("sport");
  // @ts-expect-error -- The channel is asked about, not the one that shows it.
  void hub.presence("~presence:news");
  // @ts-expect-error -- Applications cannot publish on it.
  void hub.publish("~presence:news", "x");
  // @ts-expect-error -- There is no such option.
  createHub({ identify: () => "ada", presence: { linger: 5 } });
}
void refused;
