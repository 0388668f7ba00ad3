import { createClient } from "redis";

/** Sends a command and gives the reply as it came. */
export type SendCommand = (args: readonly string[]) => Promise<unknown>;

/** The types know a deadline only as a number, though without one there is none. */
const NO_DEADLINE = { timeout: undefined } as unknown as { readonly timeout: number };

/**
 * Connects a client as Tidewire does: the client's own deadline would be most of what a command costs.
 *
 * @param url - Of Redis.
 */
export async function connectClient(url: string) {
  const client = createClient({ url, RESP: 2, commandOptions: NO_DEADLINE });
  // A lost connection spoils the figure: end the run.
  client.on("error", (error: unknown) => {
    throw error;
  });
  await client.connect();
  return client;
}

/** Opens a connection for commands. */
export async function connectRedis(url: string): Promise<SendCommand> {
  const client = await connectClient(url);
  return (args) => client.sendCommand(args);
}

/** @returns How many entries were ever added to a stream. */
export async function countAdded(send: SendCommand, key: string): Promise<number> {
  if ((await send(["EXISTS", key])) !== 1) return 0;
  const info = (await send(["XINFO", "STREAM", key])) as unknown[];
  return Number(info[info.indexOf("entries-added") + 1]);
}
