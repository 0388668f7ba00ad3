import { createClient } from "redis";

/** Sends a command and returns the raw reply. */
export type SendCommand = (args: readonly string[]) => Promise<unknown>;

/** The types allow only a number, but omitting the deadline requires `undefined`. */
const NO_DEADLINE = { timeout: undefined } as unknown as { readonly timeout: number };

/**
 * Connects a client without its own deadline, as Tidewire does: that would be most of the cost of a command.
 *
 * @param url - Address of Redis.
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

/** @returns Number of entries ever added to a stream. */
export async function countAdded(send: SendCommand, key: string): Promise<number> {
  if ((await send(["EXISTS", key])) !== 1) return 0;
  const info = (await send(["XINFO", "STREAM", key])) as unknown[];
  return Number(info[info.indexOf("entries-added") + 1]);
}
